/** @file Chart of an evaluation as SVG: accuracy with its interval over generated tokens. Readable on dark and on light. */

import { escapeText, scaleOf, tickLabel } from './plot.ts'
import type { ArmReport } from './report.ts'

const WIDTH = 640
const PLOT = { left: 60, right: 616, top: 40, bottom: 330 }
const LEGEND_TOP = 392
const LEGEND_LINE = 18

/** Colours that stand out on white and on near-black. */
const COLOURS = ['#2f81d6', '#d9631e', '#3a9a4f', '#a45bc9', '#b08a00', '#c94f7c', '#1f9e9e']

const STYLE = [
  'text{fill:#24292f;font:12px Helvetica,Arial,sans-serif}',
  '.paper{fill:#ffffff}.ink{stroke:#57606a}.grid{stroke:#d0d7de}',
  '@media (prefers-color-scheme:dark){text{fill:#e6edf3}.paper{fill:#0d1117}.ink{stroke:#8b949e}.grid{stroke:#30363d}}',
].join('')

/** From this ratio of the most to the fewest tokens on, the axis of tokens is logarithmic. */
const LOG_RATIO = 8

/** Draws one numbered point per arm; the legend has its figures. The axis of accuracy always goes from 0 to 1. */
export function drawAccuracy(title: string, arms: readonly ArmReport[]): string {
  const tokens = arms.map(({ generatedTokens }) => Math.max(1, generatedTokens))
  const isLog = Math.max(...tokens) / Math.min(...tokens) >= LOG_RATIO
  const across = scaleOf({ label: '', ...(isLog && { log: 10 }) }, tokens)
  const x = (value: number) => round(PLOT.left + across.at(value) * (PLOT.right - PLOT.left))
  const y = (value: number) => round(PLOT.bottom - value * (PLOT.bottom - PLOT.top))
  const height = LEGEND_TOP + LEGEND_LINE * arms.length
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escapeText(title)}: accuracy with 95 % intervals over generated tokens</title>`,
    `<style>${STYLE}</style>`,
    `<rect class="paper" width="${WIDTH}" height="${height}"/>`,
    text(PLOT.left, 22, title, 'start', ' font-weight="bold"'),
    ...[0, 0.2, 0.4, 0.6, 0.8, 1].flatMap((tick) => [
      line('grid', PLOT.left, y(tick), PLOT.right, y(tick)),
      text(PLOT.left - 8, y(tick) + 4, tickLabel(tick), 'end'),
    ]),
    ...across.ticks.flatMap((tick) => [
      line('ink', x(tick), PLOT.bottom, x(tick), PLOT.bottom + 5),
      text(x(tick), PLOT.bottom + 19, tickLabel(tick), 'middle'),
    ]),
    line('ink', PLOT.left, PLOT.bottom, PLOT.right, PLOT.bottom),
    line('ink', PLOT.left, PLOT.top, PLOT.left, PLOT.bottom),
    text((PLOT.left + PLOT.right) / 2, PLOT.bottom + 38, 'generated tokens per problem', 'middle'),
    `<g transform="translate(16 ${(PLOT.top + PLOT.bottom) / 2}) rotate(-90)">${text(0, 0, 'accuracy', 'middle')}</g>`,
    ...arms.map((arm, index) => {
      const { accuracy, generatedTokens } = arm
      const colour = COLOURS[index % COLOURS.length] ?? ''
      const at = x(Math.max(1, generatedTokens))
      const whisker = (from: number, to: number, width: number) =>
        `M${at} ${y(from)}V${y(to)}M${at - width} ${y(from)}h${2 * width}M${at - width} ${y(to)}h${2 * width}`
      return [
        `<path d="${whisker(accuracy.low, accuracy.high, 4)}" stroke="${colour}" stroke-width="1.5" fill="none"/>`,
        `<circle cx="${at}" cy="${y(accuracy.value)}" r="4.5" fill="${colour}"/>`,
        text(at + 8, y(accuracy.value) + 4, String(index + 1), 'start'),
        `<circle cx="${PLOT.left + 4}" cy="${LEGEND_TOP + LEGEND_LINE * index - 4}" r="4.5" fill="${colour}"/>`,
        text(PLOT.left + 16, LEGEND_TOP + LEGEND_LINE * index, legend(arm, index), 'start'),
      ].join('')
    }),
    '</svg>\n',
  ].join('\n')
}

function legend({ arm, accuracy: { value, low, high, n } }: ArmReport, index: number): string {
  const figure = (number: number) => number.toFixed(2)
  return `${index + 1}  ${arm}: ${figure(value)} (${figure(low)} to ${figure(high)}), n = ${n}`
}

function line(name: string, x1: number, y1: number, x2: number, y2: number): string {
  return `<line class="${name}" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}"/>`
}

function text(x: number, y: number, content: string, anchor: string, more = ''): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}"${more}>${escapeText(content)}</text>`
}

const round = (value: number) => Math.round(value * 10) / 10
