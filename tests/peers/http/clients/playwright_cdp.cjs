// Playwright: connects to a browser by its HTTP address, shows a page and takes a picture of it.
const { chromium } = require('playwright-core');

async function main([address, page, file]) {
  const browser = await chromium.connectOverCDP(address, { timeout: 15000 });
  const context = await browser.newContext({ viewport: { width: 800, height: 600 } });
  const tab = await context.newPage();
  await tab.goto(page);
  await tab.screenshot({ path: file });
  console.log(`seen: Playwright ${require('playwright-core/package.json').version}, browser ${browser.version()}`);
  console.log(`seen: title '${await tab.title()}'`);
  await context.close();
  await browser.close();
}

main(process.argv.slice(2)).then(() => process.exit(0), (error) => { console.error(`${error}`); process.exit(1); });
