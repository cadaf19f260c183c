// A person at Open WebUI's page: signs in, then does what the steps say, and waits to see what they expect.
// Knows the page's labels only. Prints the page's address and what is on it after the last step.
import { writeFileSync } from "node:fs";

const { driver, browser: executablePath, arguments: given } = JSON.parse(process.argv[2]);
const [{ url, path, email, password, steps, picture }] = given;
const { chromium } = await import(driver);
// Without these Chromium talks to its makers' hosts.
const args = ["no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
  "disable-component-update", "disable-sync"].map((flag) => `--${flag}`);
const browser = await chromium.launch({ executablePath, headless: true, args });
const page = await browser.newPage({ viewport: { width: 1100, height: 800 } });
page.setDefaultTimeout(20000);

const ways = {
  say: async (text) => {
    await page.locator("#chat-input").click();
    await page.keyboard.type(text);
    await page.keyboard.press("Enter");
  },
  press: (label) => page.getByRole("button", { name: label, exact: true }).last().click(),
  pick: (label) => page.getByText(label, { exact: true }).last().click(),
  see: (text) => page.getByText(text).last().waitFor(),
  see_button: (label) => page.getByRole("button", { name: label, exact: true }).last().waitFor(),
};

try {
  // A user's first sign-in brings the news of this version, in front of everything.
  const news = page.getByRole("button", { name: /Okay, Let's Go/ });
  await page.addLocatorHandler(news, () => news.click());
  await page.goto(url);
  await page.getByLabel("Email").fill(email);
  await page.locator("input[type=password]").fill(password);
  await page.keyboard.press("Enter");
  await page.locator("#chat-input").waitFor();
  if (path) await page.goto(url + path);
  for (const [way, argument] of steps) await ways[way](argument);
  const text = await page.evaluate(() => document.body.innerText);
  console.log(JSON.stringify({ address: page.url(), text }));
} catch (error) {
  const text = await page.evaluate(() => document.body.innerText);
  console.error(`${error}\nat ${page.url()}, with this on the page:\n${text}`);
  process.exitCode = 1;
} finally {
  if (picture) writeFileSync(picture, await page.screenshot());
  await browser.close();
}
