/** @file Lines over time, drawn by uPlot in the colours of the page. */

import { useEffect, useRef, useState } from 'preact/hooks'
import UPlot from 'uplot'
import { useMedia } from '../use-media.ts'

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
  /** Whether the values are of whole days (UTC): each has a dot, and the axis names days. False unless given. */
  readonly byDay?: boolean
}

/** Distances of the ticks of days: a day, a week, four weeks, a quarter. */
const DAY_INCREMENTS = [1, 7, 28, 91].map((days) => days * 86_400)

const COLOURS = ['--accent', '--ink-2', '--line-strong']
/** Distances of the lines of the grid: whole numbers from 1 on, so that counts repeat no label. */
const INCREMENTS = [
  0.05,
  0.1,
  0.2,
  0.5,
  ...[1, 10, 100, 1e3, 1e4, 1e5, 1e6].flatMap((unit) => [unit, 2 * unit, 5 * unit]),
]

const timeOfDay = (seconds: number): string =>
  new Date(seconds * 1_000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' })

const nameOfDay = (seconds: number): string =>
  new Date(seconds * 1_000).toLocaleDateString([], { day: 'numeric', month: 'short', timeZone: 'UTC' })

/** Draws again when its width or the colour scheme changes; new values only move the lines. */
export function TimeChart({
  label,
  times,
  lines,
  height = 150,
  format = String,
  byDay = false,
}: TimeChartProps) {
  const formatTime = byDay ? nameOfDay : timeOfDay
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<UPlot | null>(null)
  const [hovered, setHovered] = useState<number | null>(null)
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
        ...(byDay && { tzDate: (time: number) => UPlot.tzDate(new Date(time * 1_000), 'Etc/UTC') }),
        width: target.clientWidth,
        height,
        cursor: { points: { size: 6 }, drag: { x: false, y: false } },
        legend: { show: false },
        hooks: { setCursor: [({ cursor }) => setHovered(cursor.idx ?? null)] },
        axes: [
          {
            ...axis,
            grid: { show: false },
            ...(byDay && { incrs: DAY_INCREMENTS }),
            space: byDay ? 64 : 110,
            size: 28,
            values: (_plot, values) => values.map(formatTime),
          },
          { ...axis, size: 50, space: 34, incrs: INCREMENTS, values: (_plot, values) => values.map(format) },
        ],
        scales: { y: { range: (_plot, _low, high) => [0, Math.max(1, (high ?? 0) * 1.15)] } },
        series: [
          {},
          ...lines.map((line, index) => ({
            label: line.label,
            stroke: colour(COLOURS[index] ?? '--line-strong'),
            width: 1.75,
            points: { show: byDay, size: 5, fill: colour(COLOURS[index] ?? '--line-strong') },
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

  const at = hovered ?? times.findLastIndex((_, index) => lines.some(({ values }) => values[index] != null))
  return (
    <div class="chart">
      <div ref={place} role="img" aria-label={label} />
      <ul>
        {lines.map(({ label: name, values }) => (
          <li key={name}>
            {name} {values[at] == null ? '–' : format(values[at])}
          </li>
        ))}
        {hovered !== null && times[hovered] !== undefined && (
          <li class="time">{formatTime(times[hovered])}</li>
        )}
      </ul>
    </div>
  )
}
