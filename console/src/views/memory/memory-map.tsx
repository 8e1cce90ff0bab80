/** @file The memory in two dimensions, on a canvas. */

import { useEffect, useRef, useState } from 'preact/hooks'
import type { EpisodeMap } from '../../api.ts'
import { count, decimals, percent } from '../../format.ts'
import { Fault } from '../../parts/fault.tsx'
import { Empty, Panel } from '../../parts/panel.tsx'
import { linkTo } from '../../route.ts'
import { useMedia } from '../../use-media.ts'

type Point = EpisodeMap['points'][number]

interface MapProps {
  readonly map: EpisodeMap | null
  readonly fault: unknown
  onRetry(): void
  /** Ids of the episodes to mark. */
  readonly near: ReadonlySet<string>
}

export function MemoryMap({ map, fault, onRetry, near }: MapProps) {
  const isEmpty = map !== null && map.points.length === 0
  return (
    <Panel title="Map" aside={map !== null && !isEmpty ? newest(map.points.length) : undefined}>
      <Fault fault={fault} onRetry={onRetry} />
      {isEmpty ? (
        <Empty title="Nothing to map yet">
          <p>Similar questions will lie close together here.</p>
        </Empty>
      ) : (
        <Plot map={map} near={near} />
      )}
      {map !== null && !isEmpty && (
        <>
          <p class="legend">
            <span class="right">right</span>
            <span class="wrong">wrong</span>
            <span class="unknown">no label</span>
            <span class="hollow">does not lead</span>
          </p>
          <p class="hint">{whatShows(map)}</p>
        </>
      )}
    </Panel>
  )
}

const newest = (episodes: number) => (episodes === 1 ? '1 episode' : `${count(episodes)} newest episodes`)

const labelOf = (episodes: number) =>
  episodes === 1
    ? 'Map of 1 episode; the list below has the same one'
    : `Map of ${episodes} episodes; the list below has the same ones`

/** Says what the places of the points mean. */
function whatShows({ points, explained: [x = 0, y = 0] }: EpisodeMap): string {
  if (points.length === 1) return 'Similar questions will lie close together: this is the first.'
  if (x === 0) return 'Nothing tells these questions apart, so they lie in one place.'
  if (points.length === 2) return 'Two questions lie on one line, which shows all that tells them apart.'
  return `Similar questions lie close together. The two axes show ${percent(x)} and ${percent(y)} of what tells the questions apart; the rest does not show.`
}

const PADDING = 18
const HEIGHT = 320
/** Pointer distance, in px, within which a point is shown. */
const REACH = 14

interface Place {
  readonly point: Point
  readonly left: number
  readonly top: number
}

function Plot({ map, near }: Pick<MapProps, 'map' | 'near'>) {
  const canvas = useRef<HTMLCanvasElement>(null)
  const [width, setWidth] = useState(0)
  const [hovered, setHovered] = useState<Place | null>(null)
  const isDark = useMedia('(prefers-color-scheme: dark)')
  const places = useRef<readonly Place[]>([])

  useEffect(() => {
    const target = canvas.current
    if (target === null) return
    const watch = new ResizeObserver(() => setWidth(target.clientWidth))
    watch.observe(target)
    return () => watch.disconnect()
  }, [])

  useEffect(() => {
    const target = canvas.current
    if (target === null || width === 0) return
    places.current = placed(map?.points ?? [], width)
    draw(target, { places: places.current, near, width })
  }, [map, near, width, isDark])

  const nearest = (event: MouseEvent): Place | null => {
    let found: Place | null = null
    let least = REACH
    for (const place of places.current) {
      const distance = Math.hypot(place.left - event.offsetX, place.top - event.offsetY)
      if (distance < least) [found, least] = [place, distance]
    }
    return found
  }

  return (
    <div class="map">
      <canvas
        ref={canvas}
        role="img"
        aria-label={labelOf(map?.points.length ?? 0)}
        onMouseMove={(event) => setHovered(nearest(event))}
        onMouseLeave={() => setHovered(null)}
        onClick={(event) => {
          const place = nearest(event)
          if (place !== null) location.hash = linkTo('memory', place.point.id)
        }}
        class={hovered === null ? '' : 'over'}
      />
      {hovered !== null && (
        <div
          class={`tip${hovered.left > width / 2 ? ' before' : ''}`}
          style={{ left: `${hovered.left}px`, top: `${hovered.top}px` }}
        >
          <strong>{hovered.point.question}</strong>
          <span>
            {hovered.point.answer ?? 'no answer'} · reward {decimals(hovered.point.reward)}
            {hovered.point.label === null ? '' : hovered.point.label ? ' · right' : ' · wrong'}
            {hovered.point.steers ? '' : ' · does not lead'}
          </span>
        </div>
      )}
    </div>
  )
}

/** Scales both axes alike, so that distances show. */
function placed(points: readonly Point[], width: number): Place[] {
  let [left, right, bottom, top] = [0, 0, 0, 0]
  for (const { x, y } of points) {
    left = Math.min(left, x)
    right = Math.max(right, x)
    bottom = Math.min(bottom, y)
    top = Math.max(top, y)
  }
  const scale = Math.min(
    (width - 2 * PADDING) / Math.max(1e-9, right - left),
    (HEIGHT - 2 * PADDING) / Math.max(1e-9, top - bottom),
  )
  // A single place has no extent: it lies in the middle.
  const usable = scale < 1e8 ? scale : 0
  return points.map((point) => ({
    point,
    left: width / 2 + (point.x - (left + right) / 2) * usable,
    top: HEIGHT / 2 - (point.y - (bottom + top) / 2) * usable,
  }))
}

function draw(
  canvas: HTMLCanvasElement,
  {
    places,
    near,
    width,
  }: { readonly places: readonly Place[]; readonly near: ReadonlySet<string>; readonly width: number },
): void {
  const context = canvas.getContext('2d')
  if (context === null) return
  canvas.width = Math.round(width * devicePixelRatio)
  canvas.height = Math.round(HEIGHT * devicePixelRatio)
  context.scale(devicePixelRatio, devicePixelRatio)
  const style = getComputedStyle(canvas)
  const colour = (name: string) => style.getPropertyValue(name)
  const [accent, danger, unknown, ink] = ['--accent', '--danger', '--line-strong', '--ink'].map(colour)
  const radius = places.length > 1_500 ? 2 : places.length > 300 ? 3 : 4
  context.lineWidth = 1
  // The oldest first, so that the newest lie on top.
  for (const { point, left, top } of places.toReversed()) {
    const own = (point.label === null ? unknown : point.label ? accent : danger) ?? ''
    context.globalAlpha = 0.75
    context.beginPath()
    context.arc(left, top, radius, 0, 2 * Math.PI)
    if (point.steers) {
      context.fillStyle = own
      context.fill()
    } else {
      context.strokeStyle = own
      context.stroke()
    }
  }
  context.globalAlpha = 1
  context.strokeStyle = ink ?? ''
  context.lineWidth = 1.5
  for (const { point, left, top } of places) {
    if (!near.has(point.id)) continue
    context.beginPath()
    context.arc(left, top, radius + 4, 0, 2 * Math.PI)
    context.stroke()
  }
}
