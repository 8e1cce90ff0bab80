/** @file The reward of every answer in the order of its arrival, and a slider through these moments. */

import type { TargetedMouseEvent } from 'preact'
import { useId } from 'preact/hooks'
import { decimals, duration } from '../../format.ts'
import { useWidth } from '../../parts/use-width.ts'
import { type Moment, nameOf, type Run } from './run.ts'

const HEIGHT = 216
const EDGE = { left: 46, right: 26, top: 30, bottom: 28 }
/** Places on the axis before there are as many moments, so that the first ones do not jump. */
const MIN_PLACES = 6
/** Above it, only the moments with a new best answer have a dot. */
const MAX_DOTS = 150
const MAX_LABEL = 12

interface TimelineProps {
  readonly run: Run
  /** Index of the moment that is looked at. */
  readonly selected: number
  onSelect(index: number): void
}

export function Timeline({ run, selected, onSelect }: TimelineProps) {
  const [place, width] = useWidth<HTMLElement>()
  const caption = useId()
  const { moments, answers } = run
  const plot = {
    width: Math.max(40, width - EDGE.left - EDGE.right),
    height: HEIGHT - EDGE.top - EDGE.bottom,
  }
  const last = Math.max(moments.length - 1, run.status === 'running' ? MIN_PLACES : 1)
  const x = (index: number) => EDGE.left + (index / last) * plot.width
  const y = (reward: number) => EDGE.top - reward * plot.height
  const rewardOf = ({ answer }: Moment) => answers[answer]?.reward ?? -1

  const points = moments.map((moment, index) => ({ moment, index, x: x(index), y: y(rewardOf(moment)) }))
  const current = points.map((point, index) => `${index === 0 ? 'M' : 'L'}${point.x},${point.y}`).join('')
  const best = bestPath(points)
  const dots = points.filter(({ moment }) => moment.isAccepted || moments.length <= MAX_DOTS)
  const looked = points[selected]

  function select({ clientX, currentTarget }: TargetedMouseEvent<SVGSVGElement>) {
    const at = clientX - currentTarget.getBoundingClientRect().left
    const index = Math.round(((at - EDGE.left) / plot.width) * last)
    if (moments.length > 0) onSelect(Math.max(0, Math.min(moments.length - 1, index)))
  }

  return (
    <figure class="timeline" ref={place} aria-labelledby={caption}>
      <figcaption id={caption} class="unseen">
        Reward of each answer, from −1 to 0, in the order of its arrival
      </figcaption>
      <svg width={width} height={HEIGHT} aria-hidden="true" onClick={select}>
        {[0, -0.5, -1].map((reward) => (
          <g key={reward} class="grid">
            <line x1={EDGE.left} x2={EDGE.left + plot.width} y1={y(reward)} y2={y(reward)} />
            <text x={EDGE.left - 12} y={y(reward) + 4} text-anchor="end">
              {reward === 0 ? '0' : decimals(reward, reward === -1 ? 0 : 1)}
            </text>
          </g>
        ))}
        {best !== '' && <path class="area" d={`${best}V${y(-1)}H${EDGE.left}Z`} />}
        <path class="current" d={current} />
        <path class="best" d={best} />
        {looked !== undefined && (
          <line class="looked" x1={looked.x} x2={looked.x} y1={EDGE.top - 4} y2={y(-1)} />
        )}
        {dots.map((point) => (
          <Dot key={point.index} {...point} isLooked={point.index === selected} />
        ))}
        {labelsOf(points, answers).map(({ index, text, ...at }) => (
          <text key={index} class="label" x={at.x} y={at.y - 12} text-anchor="middle">
            {text}
          </text>
        ))}
        <text class="axis" x={EDGE.left} y={HEIGHT - 6}>
          {moments[0] === undefined ? 'waiting for the draft' : nameOf(moments[0]).toLowerCase()}
        </text>
        {moments.length > 1 && (
          <text class="axis" x={x(moments.length - 1)} y={HEIGHT - 6} text-anchor="end">
            {duration(run.elapsed)}
          </text>
        )}
      </svg>
      <input
        type="range"
        aria-label="Moment of the solve"
        min={0}
        max={Math.max(0, moments.length - 1)}
        value={selected}
        disabled={moments.length < 2}
        aria-valuetext={moments[selected] === undefined ? 'none yet' : describe(run, moments[selected])}
        onInput={({ currentTarget }) => onSelect(Number(currentTarget.value))}
      />
    </figure>
  )
}

/** Returns one moment in words. */
function describe({ answers }: Run, moment: Moment): string {
  const answer = answers[moment.answer]
  const fate = fateOf(moment)
  return `${nameOf(moment)}: answer ${answer?.answer ?? 'none'}, reward ${decimals(answer?.reward ?? -1)}${fate === '' ? '' : `, ${fate}`}`
}

/** Returns what became of the answer of a moment; empty for the draft. */
export function fateOf({ kind, isNew, isAccepted }: Moment): string {
  if (kind === 'draft') return ''
  if (!isNew) return 'answer unchanged'
  return isAccepted ? 'accepted, best so far' : 'rejected, not better'
}

interface Point {
  readonly moment: Moment
  readonly index: number
  readonly x: number
  readonly y: number
}

function Dot({ moment, x, y, isLooked }: Point & { readonly isLooked: boolean }) {
  const fate = moment.isAccepted ? 'accepted' : moment.isNew ? 'rejected' : 'unchanged'
  return (
    <g class={`dot ${fate}`}>
      {isLooked && <circle class="ring" cx={x} cy={y} r="9" />}
      {moment.kind === 'memory' ? (
        <path d={`M${x},${y - 6.5}L${x + 6.5},${y}L${x},${y + 6.5}L${x - 6.5},${y}Z`} />
      ) : (
        <circle cx={x} cy={y} r={moment.isNew ? 4.5 : 2} />
      )}
    </g>
  )
}

/** Steps along the best reward so far. */
function bestPath(points: readonly Point[]): string {
  let path = ''
  let best: number | null = null
  for (const { moment, x, y } of points) {
    if (best === null) path = `M${x},${y}`
    else path += moment.isAccepted ? `H${x}V${y}` : `H${x}`
    if (moment.isAccepted || best === null) best = y
  }
  return path
}

/** Answers above the dots that matter, where there is room. */
function labelsOf(points: readonly Point[], answers: Run['answers']) {
  let free = Number.NEGATIVE_INFINITY
  return points.flatMap(({ moment, index, x, y }) => {
    const isNamed = moment.kind === 'draft' || moment.kind === 'memory' || moment.isAccepted
    const answer = answers[moment.answer]?.answer
    if (!isNamed || answer === undefined || answer === null) return []
    const text = answer.length > MAX_LABEL ? `${answer.slice(0, MAX_LABEL - 1)}…` : answer
    const half = text.length * 4 + 6
    if (x - half < free) return []
    free = x + half
    return [{ index, text, x, y }]
  })
}
