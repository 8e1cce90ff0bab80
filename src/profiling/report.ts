/** @file Report of a profile: what was measured, on how many problems, and what was chosen. */

import type { Figure } from '#algorithms'
import { drawPlots, type Machine, markdownTable } from '#evaluation'
import type { ThresholdRow } from './choose-judge.ts'
import { MIN_SEARCHES } from './choose-search.ts'
import { BANK_SAMPLES } from './measure-policy.ts'
import type { Findings } from './profile-model.ts'
import type { CheckedWords } from './templates.ts'

export interface ReportHead {
  readonly model: string
  readonly problems: { readonly file: string; readonly sha256: string; readonly count: number }
  readonly seed: number
  readonly precision: number
  readonly machine: Machine
  readonly minutes: number
  /** Sentences about sampling, from `generation_config.json`. */
  readonly notes: readonly string[]
}

/** Name of the picture of `drawCurves`. */
const CURVES_FILE = 'curves.svg'

export function profileReport(head: ReportHead, findings: Findings): string {
  const { problems, machine } = head
  const sections = [
    `# Profile of ${head.model}`,
    `${problems.count} tuning problems of ${problems.file} (sha256 ${problems.sha256.slice(0, 16)}), seed ${head.seed}, ${head.minutes.toFixed(1)} minutes in this call. ` +
      `${machine.cores} cores of ${machine.processor}, ${machine.memoryGiB} GiB, Node ${machine.node}, ONNX Runtime ${machine.onnxruntime}, commit ${machine.commit}, ${machine.date}. ` +
      'Intervals are 95 %. Everything was chosen and measured on the same problems unless it says otherwise, so the figures of what was chosen are optimistic: publish on other problems.',
    ...promptSection(findings),
    ...judgeSection(head, findings),
    ...embeddingSection(findings),
    ...selectorSection(findings),
    ...policySection(findings),
    ...searchSection(findings),
    '## Sampling',
    head.notes.length === 0
      ? '`generation_config.json` recommends no sampling: temperature 1, no rules.'
      : head.notes.join('. '),
    `![precision of passed drafts; searches with a better reward](${CURVES_FILE})`,
  ]
  return `${sections.join('\n\n')}\n`
}

function promptSection({ prompt, profile }: Findings): string[] {
  const [first] = prompt.rows
  return [
    '## Prompt',
    first?.n
      ? markdownTable(
          ['prompt', 'drafts', 'right', 'accuracy', '95 %', 'whole', 'tokens'],
          prompt.rows.map((row) => [
            row.name,
            row.n,
            row.right,
            share(row.right / row.n),
            `${share(row.low)} to ${share(row.high)}`,
            share(row.whole),
            row.tokens.toFixed(0),
          ]),
        )
      : 'Nothing was compared: the tokenizer can write no other prompt, or the time was too short.',
    `Chosen: **${prompt.chosen}**, the profile's own, unless another has more right greedy drafts, by more than one standard error of the paired difference; then the prompt with the fewest tokens that has no fewer right ones and at most two thirds of the tokens. Whole: with an answer, and ended before the limit of ${profile.defaults.maxNewTokens} tokens.`,
  ]
}

function judgeSection({ precision }: ReportHead, { words, judge, profile }: Findings): string[] {
  const { rows, chosen, stop, crossed, thresholds, drafts, right } = judge
  const passed = (row: ThresholdRow) => `${share(row.precision)} (${share(row.low)} to ${share(row.high)})`
  return [
    '## Judge',
    markdownTable(
      ['words', 'tokens', 'spellings of one token each', 'usable'],
      words.map(({ right: yes, wrong: no, isUsable }) => [
        `${yes.word}, ${no.word}`,
        `${yes.tokens}, ${no.tokens}`,
        spellings({ right: yes, wrong: no }),
        isUsable ? 'yes' : 'no',
      ]),
    ),
    markdownTable(
      ['judge', 'AUC', '95 %', 'mean P of right drafts', 'of wrong drafts'],
      rows.map((row) => [
        row.name,
        share(row.auc.value),
        interval(row.auc),
        share(row.ofRight),
        share(row.ofWrong),
      ]),
    ),
    `${drafts} drafts, ${right} right. Chosen: **${rows[chosen]!.name}**: the profile's own, unless another has a higher AUC by more than one standard error of the paired difference, on at least 30 whole drafts.`,
    markdownTable(
      ['reward above', 'passed', 'right', 'precision', '95 %'],
      spread(thresholds, 10).map((row) => [
        row.stopReward.toFixed(4),
        row.passed,
        row.right,
        share(row.precision),
        `${share(row.low)} to ${share(row.high)}`,
      ]),
    ),
    stop === null
      ? `**No threshold has a precision of ${precision} (with a lower bound of ${share(precision - 0.1)} and 10 passed drafts).** \`stopReward\` is 0: no verdict ends a search, and \`auto\` does not stop on the verifier.`
      : `\`stopReward\` and \`admitReward\` are ${profile.defaults.stopReward}: ${stop.passed} of ${drafts} drafts pass, with a precision of ${passed(stop)}.` +
        (crossed === null
          ? ' Halves of the drafts are too small to check it.'
          : ` Where each half of the drafts is passed by the threshold of the other half, it is ${passed(crossed)} on ${crossed.passed} drafts.`),
  ]
}

function spellings({ right, wrong }: Pick<CheckedWords, 'right' | 'wrong'>): string {
  return [right, wrong].map((side) => side.spellings.map((each) => JSON.stringify(each)).join(' ')).join('; ')
}

function embeddingSection({ embedding, profile }: Findings): string[] {
  if (embedding === null) {
    return [
      '## Embedding',
      'Not measured: it needs at least 20 problems in two families of four, and a model whose layers are known. The profile keeps its embedding and `minSimilarity`.',
    ]
  }
  const { rows, chosen, questions, pairs, floor, related } = embedding
  const name = (layer: number | null) => (layer === null ? 'last token' : `question, layer ${layer}`)
  return [
    '## Embedding',
    markdownTable(
      ['states', 'AUC', 'related pairs found', 'recall of 3 nearest'],
      rows.map((row) => [
        row === chosen ? `**${name(row.layer)}**` : name(row.layer),
        share(row.auc),
        share(row.found),
        share(row.recall),
      ]),
    ),
    `${questions} questions, ${pairs.related} pairs of one family (related) and ${pairs.unrelated} of two (unrelated). The rows are of half of the questions, centred by the mean of the other half. Found: above the similarity that 1 % of unrelated pairs exceed.`,
    `Chosen: **${name(chosen.layer)}**. \`minSimilarity\` is ${profile.defaults.minSimilarity}: 1 % of all unrelated pairs and ${share(related)} of the related ones reach ${floor}.`,
  ]
}

function selectorSection({ selector, profile }: Findings): string[] {
  const heading = '## Choice among samples'
  if (selector === null) {
    const { selector: own } = profile.defaults
    return [
      heading,
      `Not measured: it needs 30 problems with right and wrong samples. The profile keeps its selector, \`${own}\`.`,
    ]
  }
  const { problems, rows, chosen } = selector
  return [
    heading,
    markdownTable(
      [`of ${BANK_SAMPLES} samples`, 'accuracy'],
      rows.map(({ name, accuracy }) => [name, share(accuracy)]),
    ),
    `${problems} problems. Chosen: **${chosen}**, the profile's own, unless the best samples by another are right more often, by more than one standard error of the paired difference. While no fused judge is active, \`best-of-n\` chooses by it, and it breaks the ties of votes.`,
  ]
}

function policySection({ policy }: Findings): string[] {
  if (policy === null) {
    return [
      '## Policy',
      'Not measured: it needs drafts and samples of 30 problems. `auto` lets samples vote, as without a policy.',
    ]
  }
  const { questions, draftAccuracy, draftTokens, rows } = policy
  const shown = rows.flatMap(({ effort, price, bands, isTaken }) =>
    bands.map((band) => [
      effort,
      price,
      share(band.from),
      band.arm,
      band.questions,
      share(band.draftAccuracy),
      share(band.accuracy),
      band.tokens.toFixed(0),
      isTaken ? 'yes' : 'no',
    ]),
  )
  const checks = rows.map(
    ({ effort, gain, tokens }) =>
      `${effort}: ${share(gain.value)} (${interval(gain)}) at ${tokens.toFixed(0)} tokens`,
  )
  return [
    '## Policy',
    markdownTable(
      ['effort', 'price', 'P(correct) from', 'then', 'questions', 'drafts right', 'right', 'tokens', 'taken'],
      shown,
    ),
    `${questions} problems; ${share(draftAccuracy)} of the drafts are right, at ${draftTokens.toFixed(0)} tokens. All arms choose among the same ${BANK_SAMPLES} samples. The price is the gain that the tokens of one more draft must bring: each band has the arm of the highest accuracy less its price. A list of bands is taken when its gain over the drafts, on problems that it was not chosen on, exceeds one standard error, and so does what it has, less its price, above the vote that \`auto\` takes without a policy. These gains: ${checks.join('; ')}.`,
  ]
}

function searchSection({ search, profile }: Findings): string[] {
  const { chosen, patience } = search
  const rows = [...search.rates, ...search.shares]
  const { defaults } = profile
  return [
    '## Search',
    rows.length === 0
      ? 'Not measured: the time was too short.'
      : markdownTable(
          [
            'lr',
            'rho',
            'searches',
            'other answer',
            'better reward',
            'wrong to right',
            'right to wrong',
            'tokens / draft',
          ],
          rows.map((row) => [
            row.lr,
            row.rho,
            row.n,
            share(row.changed),
            share(row.better),
            row.mended,
            row.spoilt,
            row.cost.toFixed(1),
          ]),
        ),
    chosen === null
      ? `Fewer than ${MIN_SEARCHES} problems were searched with every rate: the profile keeps lr ${defaults.lr}, rho ${defaults.rho} and ${defaults.latents} latents.`
      : `Chosen: **lr ${chosen.lr}, rho ${chosen.rho}**: the profile's own, unless searches with others found a better reward more often, by more than one standard error of the paired difference, without spoiling more drafts than they mended. ${defaults.latents} latents, as many as this rho moves in the draft of median length. The first rows vary the learning rate, the others rho, each on the same problems.`,
    patience.patience === null
      ? `${patience.rises} rises of the reward are too few to choose a patience: it stays ${defaults.patience}.`
      : `\`patience\` is ${patience.patience}: ${patience.rows.map((row) => `${row.patience} keeps ${share(row.kept)}`).join(', ')} of ${patience.rises} rises.`,
  ]
}

/** Two curves as SVG: precision over the share of passed drafts, better rewards over the learning rate. */
export function drawCurves({ judge, search }: Findings): string {
  return drawPlots([
    {
      title: 'precision of passed drafts',
      x: { label: 'share of drafts that pass' },
      y: { label: 'precision' },
      series: [
        {
          name: 'precision',
          points: judge.thresholds.map((row) => [row.passed / Math.max(1, judge.drafts), row.precision]),
        },
      ],
    },
    {
      title: 'searches with a better reward',
      x: { label: 'learning rate', log: 10 },
      y: { label: 'share of searches' },
      series: [{ name: 'better reward', points: search.rates.map(({ lr, better }) => [lr, better]) }],
    },
  ])
}

/** At most `count` items, evenly spaced, the last among them. */
function spread<Item>(items: readonly Item[], count: number): Item[] {
  const step = Math.max(1, (items.length - 1) / (count - 1))
  const places = new Set(
    Array.from({ length: Math.min(count, items.length) }, (_, i) => Math.round(i * step)),
  )
  return items.filter((_, index) => places.has(index))
}

const share = (value: number) => (Number.isNaN(value) ? '-' : value.toFixed(3))

function interval({ low, high }: Figure): string {
  return low === undefined || high === undefined ? '-' : `${share(low)} to ${share(high)}`
}
