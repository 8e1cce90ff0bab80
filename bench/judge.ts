/**
 * @file Bench of nights that are replayed: what the nights of the fused judge make of the kept answers of a real model, and
 * what `auto` gains under their policies, without decoding anything again.
 *
 * `npm run bench:judge -- [--name qwen2.5-coder-0.5b-int4] [--seeds 1,2,3] [--shuffles 20] [--json FILE]`
 *
 * Reads bench/results/real/NAME-days.jsonl.gz (days of learning), NAME.jsonl.gz (problems that are published) and
 * NAME-drafts.jsonl.gz (the judged greedy drafts of both). A seed chooses what each night holds out. Tokens are decoded ones.
 */

import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  bestOfN,
  type Figure,
  ltoDistribution,
  majorityVote,
  measureArms,
  measureJudge,
  measureJudgePolicy,
  ordersOf,
} from '#algorithms'
import { describeMachine, type JudgedSample, mean } from '#evaluation'
import { EFFORTS } from '#ports'
import { createRandom } from '#tensor'
import { examplesOf, joinAnswers, type KeptQuestion, knownOf, readAnswers } from './judge/answers.ts'
import { type HeldNight, holdNights, type Judge } from './judge/nights.ts'
import { CHOSEN_ON, measureRule, RULES } from './judge/rules.ts'
import { difference } from './recurrent/thinking.ts'
import { type Measurement, updateRecords } from './report/records.ts'
import { printTable } from './report/table.ts'

const { values } = parseArgs({
  options: {
    name: { type: 'string', default: 'qwen2.5-coder-0.5b-int4' },
    seeds: { type: 'string', default: '1,2,3' },
    shuffles: { type: 'string', default: '20' },
    json: { type: 'string' },
  },
})
const seeds = values.seeds.split(',').map(Number)
/** Temperature of LTO's choice, as the profile has it. */
const BETA = 0.01
const SAMPLES = [2, 4, 8]

const fileOf = (suffix: string) =>
  join(import.meta.dirname, 'results/real', `${values.name}${suffix}.jsonl.gz`)
const drafts = await readAnswers(fileOf('-drafts'))
const days = joinAnswers(await readAnswers(fileOf('-days')), drafts)
const published = joinAnswers(await readAnswers(fileOf('')), drafts)
const measured: Measurement[] = []

/** What a strategy made of each published problem. */
interface Outcomes {
  /** P(right) of each answer. */
  readonly right: readonly number[]
  /** Mean tokens decoded for a problem. */
  readonly tokens: number
}

const greedy: Outcomes = {
  right: published.map(({ draft }) => Number(draft.right)),
  tokens: mean(published.map(({ draft }) => draft.tokens)),
}

interface Among {
  /** Number of samples. */
  readonly count: number
  /** Whether the draft is a candidate beside them. */
  readonly draft: boolean
}

type Candidates = readonly JudgedSample[]

/**
 * Outcomes of a choice among samples; fewer than a problem has are taken in several orders, as policies are measured.
 *
 * @param choose returns P(chosen) of each
 */
async function choosing(
  { count, draft }: Among,
  choose: (candidates: Candidates) => Promise<readonly number[]>,
): Promise<Outcomes> {
  const right: number[] = []
  const tokens: number[] = []
  for (const question of published) {
    const outcomes = await Promise.all(
      ordersOf(question.samples).map(async (samples) => {
        const candidates = [...(draft ? [question.draft] : []), ...samples.slice(0, count)]
        const chances = await choose(candidates)
        tokens.push(candidates.reduce((sum, one) => sum + one.tokens, 0))
        return candidates.reduce((sum, one, index) => sum + chances[index]! * Number(one.right), 0)
      }),
    )
    right.push(mean(outcomes))
  }
  return { right, tokens: mean(tokens) }
}

const only = (count: number, chosen: number) => Array.from({ length: count }, (_, i) => Number(i === chosen))

function votes(among: Among): Promise<Outcomes> {
  return choosing(among, async (candidates) => only(candidates.length, majorityVote(candidates)))
}

/** A vote whose ties the mean log-probability breaks: what `auto` does where nothing was measured. */
function votesByLogProbability(among: Among): Promise<Outcomes> {
  return choosing(among, async (candidates) => {
    const scored = candidates.map(({ answer, logProbability }) => ({ answer, reward: logProbability ?? 0 }))
    return only(candidates.length, majorityVote(scored))
  })
}

function bestByJudge({ score }: Judge, among: Among): Promise<Outcomes> {
  return choosing(among, async (candidates) => {
    const scores = await score(candidates.map((one) => knownOf(one, candidates)))
    const scored = candidates.map((one, index) => ({ ...one, score: scores[index]! }))
    return only(candidates.length, bestOfN(scored))
  })
}

/** Within-question AUC of a judge on the published samples. */
async function orderOf({ score }: Judge): Promise<Figure> {
  const answers = published.flatMap((question) => examplesOf(question, 'heldOut').slice(1))
  const scores = await score(answers.map(({ known }) => known))
  const scored = answers.map(({ answer }, index) => ({ ...answer, score: scores[index]! }))
  return measureJudge(scored, { seed: 0 })['withinAuc']!
}

/** What `auto` gains over the drafts by the policy of a judge, by effort; an effort without bands returns the draft. */
function gainsOf({
  weights,
}: Judge): readonly { readonly effort: string; readonly gain: Figure; readonly tokens: number }[] {
  const figures = measureJudgePolicy(
    weights,
    published.flatMap((question) => examplesOf(question, 'heldOut')),
  )
  return EFFORTS.flatMap((effort) => {
    const gain = figures[`policy.${effort}.gain`]
    return gain === undefined ? [] : [{ effort, gain, tokens: figures[`policy.${effort}.tokens`]!.value }]
  })
}

/** The published problems after each night. */
async function measureNights(seed: number, nights: readonly HeldNight[]): Promise<(string | number)[][]> {
  const rows: (string | number)[][] = []
  for (const { night, answers, promoted, reason, serving } of nights) {
    const order = serving === null ? null : await orderOf(serving)
    const best =
      serving === null
        ? null
        : difference((await bestByJudge(serving, { count: 8, draft: true })).right, greedy.right)
    const auto = serving === null ? undefined : gainsOf(serving).find(({ effort }) => effort === 'medium')
    const verdict = promoted ? 'promoted' : 'rejected'
    rows.push([
      seed,
      night,
      answers,
      verdict,
      order?.value ?? '-',
      best?.value ?? '-',
      auto?.gain.value ?? '-',
      auto?.gain.low ?? '-',
      auto?.gain.high ?? '-',
      auto?.tokens ?? '-',
    ])
    const figures = {
      answers,
      verdict,
      reason,
      order,
      bestOfNineLessGreedy: best,
      autoLessGreedy: auto ?? null,
    }
    measured.push({ part: 'nights', case: { seed, night }, n: published.length, figures, seeds: [seed] })
  }
  return rows
}

/** Accuracy by tokens: choices of samples, and `auto` at its three efforts. */
async function measureBudgets(judges: ReadonlyMap<number, Judge>): Promise<void> {
  const rows: (string | number)[][] = []
  const add = (strategy: string, seed: number | null, { tokens, gain }: { tokens: number; gain: Figure }) => {
    const accuracy = mean(greedy.right) + gain.value
    rows.push([strategy, seed ?? '-', accuracy, gain.value, gain.low ?? '-', gain.high ?? '-', tokens])
    const figures = { accuracy, value: gain.value, low: gain.low ?? null, high: gain.high ?? null, tokens }
    const labels = { strategy, ...(seed !== null && { seed }) }
    measured.push({ part: 'budgets', case: labels, n: published.length, figures })
  }
  const over = ({ right, tokens }: Outcomes) => ({ tokens, gain: difference(right, greedy.right) })
  add('greedy', null, over(greedy))
  const amongs = [false, true].flatMap((draft) => SAMPLES.map((count) => ({ draft, count })))
  const nameOf = ({ draft, count }: Among) => (draft ? `draft and ${count}` : String(count))
  for (const among of amongs) add(`majority of ${nameOf(among)}`, null, over(await votes(among)))
  for (const among of amongs) {
    const strategy = `majority of ${nameOf(among)}, ties by log-probability`
    add(strategy, null, over(await votesByLogProbability(among)))
  }
  for (const [seed, judge] of judges) {
    for (const among of amongs) {
      add(`best of ${nameOf(among)} by judge`, seed, over(await bestByJudge(judge, among)))
    }
    for (const { effort, ...auto } of gainsOf(judge)) add(`auto, ${effort}`, seed, auto)
  }
  printTable(
    'Accuracy by tokens on the published problems, after the last night',
    ['strategy', 'seed', 'accuracy', 'minus greedy', 'low', 'high', 'tokens'],
    rows,
  )
}

/** Policies that other rules would choose, on questions that they were not chosen on. */
function measureRules(judges: ReadonlyMap<number, Judge>): void {
  const answersOf = (questions: readonly KeptQuestion[]) =>
    questions.flatMap((question) => examplesOf(question, 'train'))
  const [tuning, others] = [answersOf(days), answersOf(published)]
  const arms = [...judges.values()].map(({ weights }) => ({
    tuning: measureArms(weights, tuning),
    others: measureArms(weights, others),
  }))
  const n = days.length - CHOSEN_ON + published.length
  const rows = RULES.map((rule) => {
    const figures = measureRule(rule, arms)
    const { name, ...settings } = rule
    measured.push({ part: 'rules', case: { rule: name }, n, figures: { ...figures, ...settings } })
    return [name, figures.gain, figures.deviation, figures.tokens]
  })
  printTable(
    `Rules that choose a policy: chosen on ${CHOSEN_ON} questions, measured on ${n} others`,
    ['rule', 'gain over the drafts', 'sd over draws and judges', 'tokens per token of a draft'],
    rows,
  )
}

/** Nights over labels that were dealt out again among all answers: they must learn nothing, and be refused. */
async function measureShuffled(count: number): Promise<void> {
  let promotions = 0
  const orders: number[] = []
  for (let shuffle = 1; shuffle <= count; shuffle++) {
    const nights = await holdNights(shuffled(shuffle), shuffle)
    promotions += nights.filter(({ promoted }) => promoted).length
    const { candidate } = nights.at(-1)!
    if (candidate !== null) orders.push((await orderOf(candidate)).value)
  }
  const nights = count * Math.max(...days.map(({ day }) => day))
  const figures = {
    promotions,
    nights,
    order: mean(orders),
    lowest: Math.min(...orders),
    highest: Math.max(...orders),
  }
  measured.push({ part: 'shuffled labels', case: { shuffles: count }, n: orders.length, figures, seeds: [] })
  printTable(
    'Nights over shuffled labels',
    ['nights', 'promoted', 'within-question AUC of the last candidates', 'lowest', 'highest'],
    [[nights, promotions, figures.order, figures.lowest, figures.highest]],
  )
}

/**
 * The days with the labels of all answers in random order. Drafts and samples share them: dealt apart, drafts would stay right more
 * often, which a judge can learn.
 */
function shuffled(seed: number): readonly KeptQuestion[] {
  const random = createRandom(seed)
  const labels = days
    .flatMap(({ draft, samples }) => [draft, ...samples])
    .map(({ right }) => ({ right, place: random.uniform() }))
    .sort((one, other) => one.place - other.place)
    .values()
  const relabelled = (one: JudgedSample) => ({ ...one, right: labels.next().value!.right })
  return days.map((question) => ({
    ...question,
    draft: relabelled(question.draft),
    samples: question.samples.map(relabelled),
  }))
}

/** LTO by the estimates that the served reward model gave of the published samples. */
async function measureLto(): Promise<void> {
  if (published.some(({ samples }) => samples.some(({ lrm }) => typeof lrm !== 'number'))) {
    console.log('\n**NOT MEASURED: these answers have no estimates of a reward model.**')
    return
  }
  const rows: (string | number)[][] = []
  for (const count of [5, 8]) {
    const among = { count, draft: false }
    const majority = await votes(among)
    const drawn = await choosing(among, async (samples) =>
      ltoDistribution(
        samples.map(({ lrm }) => lrm ?? 0),
        BETA,
      ),
    )
    const random = await choosing(among, async (samples) => samples.map(() => 1 / samples.length))
    for (const [strategy, { right, tokens }] of Object.entries({
      'random choice': random,
      majority,
      lto: drawn,
    })) {
      const [accuracy, toGreedy, toMajority] = [
        mean(right),
        difference(right, greedy.right),
        difference(right, majority.right),
      ]
      rows.push([
        strategy,
        count,
        accuracy,
        toGreedy.value,
        toGreedy.low ?? '-',
        toGreedy.high ?? '-',
        toMajority.value,
        toMajority.low ?? '-',
        toMajority.high ?? '-',
        tokens,
      ])
      const figures = { accuracy, toGreedy, toMajority, tokens }
      measured.push({
        part: 'lto',
        case: { strategy, samples: count },
        n: published.length,
        figures,
        seeds: [],
      })
    }
  }
  printTable(
    `LTO by the served reward model, beta ${BETA}`,
    [
      'choice',
      'samples',
      'accuracy',
      'minus greedy',
      'low',
      'high',
      'minus majority',
      'low',
      'high',
      'tokens',
    ],
    rows,
  )
}

const machine = describeMachine()
console.log(
  `# Nights over kept answers of ${values.name}\n\n${days.length} questions to learn from, ${published.length} published`,
)
const judges = new Map<number, Judge>()
const rows: (string | number)[][] = []
for (const seed of seeds) {
  const nights = await holdNights(days, seed)
  rows.push(...(await measureNights(seed, nights)))
  const judge = nights.at(-1)!.serving
  if (judge !== null) judges.set(seed, judge)
}
printTable(
  `Nights; the served judge on ${published.length} published problems, auto at effort medium`,
  [
    'seed',
    'night',
    'answers',
    'verdict',
    'within-question AUC',
    'best of draft and 8 minus greedy',
    'auto minus greedy',
    'low',
    'high',
    'tokens of auto',
  ],
  rows,
)
await measureBudgets(judges)
measureRules(judges)
await measureShuffled(Number(values.shuffles))
await measureLto()
if (values.json !== undefined) await updateRecords(values.json, { bench: 'judge', machine, seeds }, measured)
