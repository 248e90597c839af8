// A client of Elasticsearch or OpenSearch that asks the one node that it knows for all of them, then searches.
const fs = require('fs');
const path = require('path');

const SEARCHES = 24;

// Packages need not let others read what they say of themselves.
function version(name) {
  const file = path.join(process.env.NODE_PATH, name, 'package.json');
  return JSON.parse(fs.readFileSync(file, 'utf8')).version;
}

async function main([name, address]) {
  const { Client } = require(name);
  const certificates = process.env.NODE_EXTRA_CA_CERTS;
  const ca = fs.readFileSync(certificates);
  const tls = address.startsWith('https:') ? { tls: { ca }, ssl: { ca } } : {};
  const client = new Client({ node: address, sniffOnStart: true, maxRetries: 0, requestTimeout: 5000, ...tls });
  // What was sniffed counts from the first request on, which starts it.
  await new Promise((resolve) => (client.diagnostic || client).once('sniff', resolve));
  const nodes = new Set();
  for (let turn = 0; turn < SEARCHES; turn += 1) {
    const answer = await client.search({ index: 'lab' });
    nodes.add((answer.body || answer).hits.hits[0]._source.node);
  }
  console.log(`seen: ${name} ${version(name)}, nodes ${[...nodes].sort()}`);
}

main(process.argv.slice(2)).then(() => process.exit(0), (error) => { console.error(`${error}`); process.exit(1); });
