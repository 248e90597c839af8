// A client of Elasticsearch or OpenSearch that asks the one node that it knows for all of them, then searches.
const SEARCHES = 24;

async function main([name, address]) {
  const { Client } = require(name);
  const certificates = process.env.NODE_EXTRA_CA_CERTS;
  const ca = require('fs').readFileSync(certificates);
  const tls = address.startsWith('https:') ? { tls: { ca }, ssl: { ca } } : {};
  const client = new Client({ node: address, sniffOnStart: true, maxRetries: 0, requestTimeout: 5000, ...tls });
  // What was sniffed counts from the first request on, which starts it.
  await new Promise((resolve) => (client.diagnostic || client).once('sniff', resolve));
  const nodes = new Set();
  for (let turn = 0; turn < SEARCHES; turn += 1) {
    const answer = await client.search({ index: 'lab' });
    nodes.add((answer.body || answer).hits.hits[0]._source.node);
  }
  console.log(`seen: ${name} ${require(`${name}/package.json`).version}, nodes ${[...nodes].sort()}`);
}

main(process.argv.slice(2)).then(() => process.exit(0), (error) => { console.error(`${error}`); process.exit(1); });
