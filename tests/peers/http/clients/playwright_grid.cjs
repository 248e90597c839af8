// Playwright: gets its browser from a Selenium Grid, shows a page and takes a picture of it.
async function main([grid, page, file]) {
  process.env.SELENIUM_REMOTE_URL = grid;
  const { chromium } = require('playwright-core');
  const args = ['--no-sandbox', '--force-color-profile=srgb'];
  // The path is Grid's to choose; Playwright wants one all the same.
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args, timeout: 20000 });
  const context = await browser.newContext({ viewport: { width: 800, height: 600 } });
  const tab = await context.newPage();
  await tab.goto(page);
  await tab.screenshot({ path: file });
  console.log(`seen: Playwright ${require('playwright-core/package.json').version}, browser ${browser.version()}`);
  console.log(`seen: title '${await tab.title()}'`);
  await browser.close();
}

main(process.argv.slice(2)).then(() => process.exit(0), (error) => { console.error(`${error}`); process.exit(1); });
