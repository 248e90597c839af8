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

main(process.argv.slice(2)).then(
  () => process.exit(0),
  (error) => { console.error(`${error}${error.cause ? ` because ${error.cause}` : ''}`); process.exit(1); },
);
