/** @file Debian's chromium on the page of a running service. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import axe from 'axe-core'
import { type Browser, chromium, type Page } from 'playwright-core'

const EXECUTABLE = process.env['CHROMIUM'] ?? '/usr/bin/chromium'
const SCREENSHOTS = join(import.meta.dirname, '../../docs/console')

/** Starts a browser without a window. */
export function startBrowser(): Promise<Browser> {
  if (!existsSync(EXECUTABLE))
    throw new Error(`chromium: expected ${EXECUTABLE}: apt-get install chromium, or set CHROMIUM`)
  // Tests run as root in containers, where chromium has no sandbox.
  return chromium.launch({ executablePath: EXECUTABLE, args: ['--no-sandbox', '--disable-gpu'] })
}

export interface OpenOptions {
  readonly width?: number
  readonly height?: number
  readonly dark?: boolean
}

export interface OpenPage extends AsyncDisposable {
  readonly page: Page
  /** What the page reported that it must not: errors, refusals of the content security policy. */
  readonly complaints: readonly string[]
}

/** Opens the console in a browser context of its own. @param origin such as `http://127.0.0.1:3000` */
export async function openConsole(
  browser: Browser,
  origin: string,
  { width = 1200, height = 800, dark = false }: OpenOptions = {},
): Promise<OpenPage> {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: dark ? 'dark' : 'light',
    reducedMotion: 'reduce',
    permissions: ['clipboard-read', 'clipboard-write'],
  })
  const page = await context.newPage()
  page.setDefaultTimeout(30_000)
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('console', (message) => {
    if (message.type() !== 'error') return
    // The browser reports every refused or failed call; the page shows them.
    if (!/Failed to load resource/.test(message.text())) complaints.push(message.text())
  })
  await page.goto(`${origin}/console`)
  return { page, complaints, [Symbol.asyncDispose]: () => context.close() }
}

/** Whether this run writes the screenshots of docs/console; others leave the files as they are. */
export const isPictured = process.env['SCREENSHOTS'] !== undefined

/** Writes what the window shows to docs/console when `SCREENSHOTS` is set. */
export async function screenshot(page: Page, name: string): Promise<void> {
  if (isPictured) await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) })
}

/** Returns the faults of accessibility that matter: serious and critical ones, as axe-core finds them. */
export async function seriousFaults(page: Page): Promise<readonly string[]> {
  // The content security policy refuses scripts in the page; the protocol of the browser may run them.
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate(() =>
    (globalThis as unknown as { axe: typeof axe }).axe.run({
      resultTypes: ['violations'],
    }),
  )
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(
      ({ id, nodes }) => `${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`)}`,
    )
}
