/** @file Line plots as SVG: no dependency, readable in a browser and in a Markdown page. */

interface Series {
  readonly name: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

export interface Axis {
  readonly label: string
  /** Base of a logarithmic axis; if omitted, the axis is linear from zero. */
  readonly log?: 2 | 10
}

export interface Plot {
  readonly title: string
  readonly x: Axis
  readonly y: Axis
  readonly series: readonly Series[]
  /** Vertical lines, each with a label. */
  readonly marks?: readonly { readonly x: number; readonly label: string }[]
  /**
   * Place of the legend of several series, in shares of the plot from its top left, the default; null draws
   * none.
   */
  readonly legend?: { readonly x: number; readonly y: number } | null
}

/** Size of one plot; the plots of a picture stand side by side. */
const WIDTH = 460
const HEIGHT = 320
const MARGIN = { left: 66, right: 18, top: 40, bottom: 50 }
const COLOURS = ['#0060a8', '#c8500a', '#2e8540', '#8a3ab0', '#8c6d00']
const INK = '#333333'
const GRID = '#dddddd'
/** White outline of text, so that lines do not cross letters. */
const HALO = 'stroke="#ffffff" stroke-width="5" paint-order="stroke"'

/**
 * Draws plots side by side; points that are not finite, or not above zero on a logarithmic axis, are
 * omitted.
 */
export function drawPlots(plots: readonly Plot[]): string {
  const width = WIDTH * plots.length
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${HEIGHT}" width="${width}" height="${HEIGHT}" font-family="Helvetica, Arial, sans-serif" font-size="12" fill="${INK}">`,
    `<rect width="${width}" height="${HEIGHT}" fill="#ffffff"/>`,
    ...plots.map((plot, index) => `<g transform="translate(${index * WIDTH} 0)">\n${draw(plot)}\n</g>`),
    '</svg>\n',
  ].join('\n')
}

export interface Scale {
  readonly ticks: readonly number[]
  /** Position of a value in [0, 1]. */
  at(value: number): number
}

function draw({ title, x, y, series, marks = [], legend = { x: 0, y: 0 } }: Plot): string {
  const usable = ([px, py]: readonly [number, number]) =>
    [px, py].every(Number.isFinite) && (!x.log || px > 0) && (!y.log || py > 0)
  const drawn = series.map((each) => ({ ...each, points: each.points.filter(usable) }))
  const points = drawn.flatMap((each) => each.points)
  const across = scaleOf(
    x,
    points.map(([value]) => value),
  )
  const up = scaleOf(
    y,
    points.map(([, value]) => value),
  )
  const [inner, tall] = [WIDTH - MARGIN.left - MARGIN.right, HEIGHT - MARGIN.top - MARGIN.bottom]
  const px = (value: number) => round(MARGIN.left + across.at(value) * inner)
  const py = (value: number) => round(MARGIN.top + (1 - up.at(value)) * tall)
  const [left, right, top, bottom] = [MARGIN.left, MARGIN.left + inner, MARGIN.top, MARGIN.top + tall]
  return [
    text(WIDTH / 2, 20, title, 'middle', 'font-weight="bold"'),
    ...up.ticks.map((tick) => line(left, py(tick), right, py(tick), GRID)),
    ...up.ticks.map((tick) => text(left - 8, py(tick) + 4, tickLabel(tick), 'end')),
    ...across.ticks.map((tick) => line(px(tick), bottom, px(tick), bottom + 5, INK)),
    ...across.ticks.map((tick) => text(px(tick), bottom + 19, tickLabel(tick), 'middle')),
    line(left, bottom, right, bottom, INK),
    line(left, top, left, bottom, INK),
    text(left + inner / 2, HEIGHT - 10, x.label, 'middle'),
    text(0, 0, y.label, 'middle', `transform="translate(16 ${top + tall / 2}) rotate(-90)"`),
    ...marks.flatMap(({ x: at, label: word }) => [
      `<line x1="${px(at)}" y1="${top}" x2="${px(at)}" y2="${bottom}" stroke="${INK}" stroke-dasharray="4 4"/>`,
      text(px(at) + 5, bottom - 8, word, 'start', `font-size="11" ${HALO}`),
    ]),
    ...drawn.map((each, index) =>
      curve(
        each.points.map(([vx, vy]) => [px(vx), py(vy)]),
        colour(index),
      ),
    ),
    ...(legend === null || drawn.length < 2 ? [] : drawn).flatMap(({ name }, index) => {
      const from = round(left + 10 + (legend?.x ?? 0) * inner)
      const at = round(top + 14 + (legend?.y ?? 0) * tall + 17 * index)
      return [
        `<line x1="${from}" y1="${at - 4}" x2="${from + 20}" y2="${at - 4}" stroke="${colour(index)}" stroke-width="2"/>`,
        text(from + 26, at, name, 'start', HALO),
      ]
    }),
  ].join('\n')
}

/** Scale of the values of one axis, with its ticks. */
export function scaleOf({ log }: Axis, values: readonly number[]): Scale {
  const [low, high] = [Math.min(...values), Math.max(...values)]
  if (log) {
    const power = (value: number) => Math.log(value) / Math.log(log)
    const [from, to] = [
      Math.floor(power(low) + 1e-9),
      Math.max(Math.floor(power(low)) + 1, Math.ceil(power(high) - 1e-9)),
    ]
    const ticks = Array.from({ length: to - from + 1 }, (_, index) => log ** (from + index))
    return { ticks, at: (value) => (power(value) - from) / (to - from) }
  }
  const step = niceStep(high / 5)
  const top = Math.max(step, Math.ceil(high / step - 1e-9) * step)
  const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, index) => index * step)
  return { ticks, at: (value) => value / top }
}

/** Rounds up to the next of 1, 2, 5, 10 times a power of ten. */
function niceStep(step: number): number {
  const base = 10 ** Math.floor(Math.log10(step > 0 ? step : 1))
  return ([1, 2, 5].find((factor) => factor * base >= step) ?? 10) * base
}

function curve(points: readonly (readonly [number, number])[], stroke: string): string {
  const path = points.map(([x, y]) => `${x},${y}`).join(' ')
  const dots = points.map(([x, y]) => `<circle cx="${x}" cy="${y}" r="3" fill="${stroke}"/>`).join('')
  return `<polyline points="${path}" fill="none" stroke="${stroke}" stroke-width="2"/>${dots}`
}

function line(x1: number, y1: number, x2: number, y2: number, stroke: string): string {
  return `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="${stroke}"/>`
}

function text(x: number, y: number, content: string, anchor: string, more = ''): string {
  const place = more.includes('transform') ? '' : `x="${x}" y="${y}" `
  return `<text ${place}text-anchor="${anchor}" ${more}>${escapeText(content)}</text>`
}

/** Text of an SVG element. */
export function escapeText(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}

const colour = (index: number) => COLOURS[index % COLOURS.length] ?? INK
const round = (value: number) => Math.round(value * 10) / 10
/** Writes a tick with three digits, thousands as k. */
export const tickLabel = (tick: number) =>
  tick >= 10_000 ? `${round(tick / 1000)}k` : String(Number(tick.toPrecision(3)))
