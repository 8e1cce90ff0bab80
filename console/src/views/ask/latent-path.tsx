/** @file The path of the latents in two dimensions, and what they decode to at each place. */

import { useState } from 'preact/hooks'
import type { Solution } from '../../api.ts'
import { decimals } from '../../format.ts'
import { useWidth } from '../../parts/use-width.ts'

const HEIGHT = 210
const EDGE = 24

interface LatentPathProps {
  readonly latents: NonNullable<Solution['latents']>
  /** Step that is looked at elsewhere. */
  readonly step: number
}

/** Distances are those of the latents, so both axes have the same scale. */
export function LatentPath({ latents, step }: LatentPathProps) {
  const [place, width] = useWidth<HTMLElement>()
  const [hovered, setHovered] = useState<number | null>(null)
  const [left, top] = [Math.min(...latents.map(({ x }) => x)), Math.max(...latents.map(({ y }) => y))]
  const spread = {
    x: Math.max(...latents.map(({ x }) => x)) - left,
    y: top - Math.min(...latents.map(({ y }) => y)),
  }
  const scale = Math.min(
    (width - 2 * EDGE) / Math.max(spread.x, 1e-9),
    (HEIGHT - 2 * EDGE) / Math.max(spread.y, 1e-9),
  )
  // The sign of an axis has no meaning: the path begins on the left.
  const isMirrored = (latents[0]?.x ?? 0) > (latents.at(-1)?.x ?? 0)
  const points = latents.map((each) => ({
    ...each,
    px: (width - spread.x * scale) / 2 + (isMirrored ? spread.x - (each.x - left) : each.x - left) * scale,
    py: (HEIGHT - spread.y * scale) / 2 + (top - each.y) * scale,
  }))
  // The last place at or before the step: between two places the latents decoded to the same answer.
  const looked = hovered ?? points.findLastIndex((point) => point.step <= step)
  const shown = points[looked]
  const highest = Math.max(...points.map(({ reward }) => reward))
  const best = points.findIndex(({ reward }) => reward === highest)
  return (
    <figure class="latent-path" ref={place}>
      <svg
        width={width}
        height={HEIGHT}
        role="img"
        aria-label={`Path of the latents over ${latents.length} places`}
      >
        <path d={points.map(({ px, py }, index) => `${index === 0 ? 'M' : 'L'}${px},${py}`).join('')} />
        {points.map((point, index) => (
          <g
            key={index}
            class={index === best ? 'best' : index === 0 ? 'first' : ''}
            onPointerEnter={() => setHovered(index)}
            onPointerLeave={() => setHovered(null)}
          >
            {index === looked && <circle class="halo" cx={point.px} cy={point.py} r="10" />}
            <circle class="place" cx={point.px} cy={point.py} r="5" />
            <circle class="target" cx={point.px} cy={point.py} r="13" />
          </g>
        ))}
      </svg>
      <figcaption>
        {shown !== undefined && (
          <>
            <strong>{shown.step === 0 ? 'Start' : `Step ${shown.step}`}</strong> decodes to{' '}
            <b class="mono">{shown.answer ?? 'no answer'}</b>, reward {decimals(shown.reward)}
            <span class="decoded mono">{shown.text}</span>
          </>
        )}
      </figcaption>
    </figure>
  )
}
