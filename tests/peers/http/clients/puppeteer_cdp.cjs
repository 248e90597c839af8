// Puppeteer: connects to a browser by its HTTP address, shows a page and takes a picture of it.
const puppeteer = require('puppeteer-core');

async function main([address, page, file]) {
  const browser = await puppeteer.connect({ browserURL: address, defaultViewport: { width: 800, height: 600 } });
  const tab = await browser.newPage();
  await tab.goto(page);
  await tab.screenshot({ path: file });
  console.log(`seen: Puppeteer, browser ${await browser.version()}, ${browser.wsEndpoint().replace(/[^/]*$/, '…')}`);
  console.log(`seen: title '${await tab.title()}'`);
  await tab.close();
  await browser.disconnect();
}

// Errors have causes, and a WebSocket's is an event that holds one.
function reason(error) {
  const inner = error.cause || error.error;
  return `${error.message || error}${inner ? ` because ${reason(inner)}` : ''}`;
}

main(process.argv.slice(2)).then(() => process.exit(0), (error) => { console.error(reason(error)); process.exit(1); });
