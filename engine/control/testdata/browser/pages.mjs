// Presses the buttons of the ring pages in a real browser. Arguments: base URL, admin token, folder for pictures.
// Run by TestInABrowser with NODE_PATH-like resolution from its working folder; exits 1 with what went wrong.
import { createRequire } from 'node:module';
const require = createRequire(process.cwd() + '/');
const { chromium } = require('playwright-core');

const [base, token, pictures] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
let failed = false;
const check = (what, ok) => { console.log((ok ? 'ok ' : 'NOT ') + what); failed ||= !ok; };

try {
  for (const [theme, js] of [['light', false], ['dark', false]]) {
    const page = await browser.newPage({ colorScheme: theme, javaScriptEnabled: js, viewport: { width: 1200, height: 900 } });
    const problems = [];
    page.on('console', m => { if (m.type() === 'error') problems.push(m.text()); });
    page.on('requestfailed', r => problems.push(r.url()));
    for (const path of ['/ingester/ring', '/live-store/ring', '/partition-ring', '/memberlist']) {
      const r = await page.goto(base + path);
      check(`${theme} ${path} answers 200 without script`, r.status() === 200);
      if (pictures) await page.screenshot({ path: `${pictures}/${theme}${path.replaceAll('/', '-')}.png`, fullPage: true });
    }
    check(`${theme}: nothing refused by the content policy, nothing loaded from elsewhere: ${problems}`, problems.length === 0);
    await page.close();
  }

  const page = await browser.newPage({ javaScriptEnabled: false });
  const forget = async (secret) => {
    await page.goto(base + '/ingester/ring');
    const row = page.locator('tr', { hasText: 'ingester-zone-b-1' }).first();
    await row.locator('summary').click();
    await row.locator('input[name=reason]').fill('the machine burned down');
    await row.locator('input[name=token]').fill(secret);
    await row.locator('button.danger').click();
  };
  await forget('this is not the token');
  check('a wrong token is refused in words', (await page.content()).includes('wrong token'));
  await forget(token);
  check('after Forget the page of the ring is back', new URL(page.url()).pathname === '/ingester/ring');
  await page.goto(base + '/ingester/ring');
  check('and the member is gone from it', !(await page.content()).includes('ingester-zone-b-1'));

  await page.goto(base + '/partition-ring');
  const form = page.locator('form', { has: page.locator('button', { hasText: 'Change partition 0' }) });
  await form.evaluate(f => { const d = f.closest('details'); if (d) d.open = true; });
  await form.locator('select[name=partition_state]').selectOption('PartitionInactive');
  await form.locator('input[name=reason]').fill('scale down');
  await form.locator('input[name=token]').fill(token);
  await form.locator('button').click();
  await page.goto(base + '/partition-ring');
  const parts = await (await page.request.get(base + '/partition-ring?format=json')).json();
  check('partition 0 is INACTIVE', parts.partitions.find(p => p.id === 0).state === 3);

  await page.setContent(`<form method=post action="${base}/ingester/ring"><input name=forget value=ingester-zone-a-0><input name=reason value=x><input name=token value="${token}"><button>go</button></form>`);
  await page.locator('button').click();
  const ring = await (await page.request.get(base + '/ingester/ring?format=json')).json();
  check('a form on a foreign page changes nothing', ring.shards.some(s => s.id === 'ingester-zone-a-0'));
} catch (e) {
  console.log('NOT ' + e);
  failed = true;
}
await browser.close();
process.exit(failed ? 1 : 0);
