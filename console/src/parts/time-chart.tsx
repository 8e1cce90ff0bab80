/** @file Lines over time, drawn by uPlot in the colours of the page. */

import { useEffect, useRef, useState } from 'preact/hooks'
import UPlot from 'uplot'

interface Line {
  readonly label: string
  /** One value for each time; null: none then. */
  readonly values: readonly (number | null)[]
}

interface TimeChartProps {
  /** What the chart shows, for screen readers. */
  readonly label: string
  /** Times in seconds since 1970, rising. */
  readonly times: readonly number[]
  /** The first line has the accent colour, the second that of the text, further ones a pale one. */
  readonly lines: readonly Line[]
  readonly height?: number
  /** Returns the text of a value; a plain number unless given. */
  readonly format?: (value: number) => string
}

const COLOURS = ['--accent', '--ink-2', '--line-strong']

/** Draws again when its width or the colour scheme changes; new values only move the lines. */
export function TimeChart({ label, times, lines, height = 150, format = String }: TimeChartProps) {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<UPlot | null>(null)
  const isDark = useMedia('(prefers-color-scheme: dark)')
  const data = [times, ...lines.map(({ values }) => values)] as unknown as UPlot.AlignedData
  const shape = JSON.stringify([isDark, height, lines.map((line) => line.label)])

  useEffect(() => {
    const target = place.current
    if (target === null) return
    const colour = (name: string) => getComputedStyle(target).getPropertyValue(name)
    const axis = {
      stroke: colour('--ink-3'),
      grid: { stroke: colour('--line'), width: 1 },
      ticks: { show: false },
      font: '12px system-ui, sans-serif',
    }
    const drawn = new UPlot(
      {
        width: target.clientWidth,
        height,
        cursor: { points: { size: 6 }, drag: { x: false, y: false } },
        legend: { live: true },
        axes: [
          { ...axis, grid: { show: false } },
          { ...axis, size: 62, values: (_plot, values) => values.map(format) },
        ],
        scales: { y: { range: (_plot, _low, high) => [0, Math.max(1, (high ?? 0) * 1.15)] } },
        series: [
          {},
          ...lines.map((line, index) => ({
            label: line.label,
            stroke: colour(COLOURS[index] ?? '--line-strong'),
            width: 1.75,
            points: { show: false },
            value: (_plot: UPlot, value: number | null) => (value === null ? '–' : format(value)),
          })),
        ],
      },
      data,
      target,
    )
    plot.current = drawn
    const watch = new ResizeObserver(() => drawn.setSize({ width: target.clientWidth, height }))
    watch.observe(target)
    return () => {
      watch.disconnect()
      drawn.destroy()
      plot.current = null
    }
  }, [shape])

  useEffect(() => plot.current?.setData(data))

  return <div class="chart" ref={place} role="img" aria-label={label} />
}

function useMedia(query: string): boolean {
  const [matches, setMatches] = useState(() => matchMedia(query).matches)
  useEffect(() => {
    const list = matchMedia(query)
    const update = () => setMatches(list.matches)
    list.addEventListener('change', update)
    return () => list.removeEventListener('change', update)
  }, [query])
  return matches
}
