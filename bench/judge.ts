/**
 * @file Bench of nights that are replayed: what the nights of the fused judge make of the kept answers of a real model, and
 * what `auto` gains under their policies, without decoding anything again.
 *
 * `npm run bench:judge -- [--name qwen2.5-coder-0.5b-int4] [--seeds 1,2,3] [--shuffles 20] [--docs] [--json FILE]`
 *
 * Reads bench/results/real/NAME-days.jsonl.gz (days of learning), NAME.jsonl.gz (problems that are published), NAME-seeds.jsonl.gz
 * (their samples under other seeds, where there are any) and NAME-drafts.jsonl.gz (their judged greedy drafts, where they are not
 * beside the samples). A seed chooses what each night holds out. Tokens are decoded ones. `--docs` draws the picture of
 * docs/benchmarks.md.
 */

import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  comparePolicies,
  type Figure,
  ltoDistribution,
  measureArms,
  measureJudge,
  measureJudgePolicy,
  VOTES_OF_AUTO,
} from '#algorithms'
import { describeMachine, drawPlots, type JudgedSample, mean } from '#evaluation'
import { EFFORTS } from '#ports'
import { createRandom } from '#tensor'
import { examplesOf, joinAnswers, type KeptQuestion, readAnswers } from './judge/answers.ts'
import {
  AMONGS,
  bestBy,
  bestByJudge,
  choosing,
  followedBy,
  greedyOf,
  inOneOrder,
  nameOf,
  type Outcomes,
  overSeeds,
  type SeededQuestions,
  votes,
  votesByLogProbability,
  votesInRounds,
} from './judge/choices.ts'
import { type HeldNight, holdNights, type Judge } from './judge/nights.ts'
import { plotNights } from './judge/plots.ts'
import { CHOSEN_ON, measureRule, RULES } from './judge/rules.ts'
import { difference } from './recurrent/thinking.ts'
import { type Measurement, updateRecords } from './report/records.ts'
import { printTable } from './report/table.ts'

const { values } = parseArgs({
  options: {
    name: { type: 'string', default: 'qwen2.5-coder-0.5b-int4' },
    seeds: { type: 'string', default: '1,2,3' },
    shuffles: { type: 'string', default: '20' },
    docs: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
})
const seeds = values.seeds.split(',').map(Number)
/** Temperature of LTO's choice, as the profile has it. */
const BETA = 0.01
/** Votes of the draft and of samples that come in rounds; the last ones are those of `auto` at effort low and medium. */
const ROUNDS = [
  { samples: 8, stopVotes: 2 },
  { samples: 4, stopVotes: VOTES_OF_AUTO },
  { samples: 8, stopVotes: VOTES_OF_AUTO },
]
const inRounds = ({ samples, stopVotes }: (typeof ROUNDS)[number]) =>
  `vote of draft and up to ${samples}, until ${stopVotes} agree`
/** Signals of an answer that need nothing trained. */
const SIGNALS = {
  'log-probability': ({ logProbability }: JudgedSample) => logProbability,
  'self-certainty': ({ selfCertainty }: JudgedSample) => selfCertainty,
  verifier: ({ rewardTerms }: JudgedSample) => rewardTerms['verifier'],
}

const fileOf = (suffix: string) =>
  join(import.meta.dirname, 'results/real', `${values.name}${suffix}.jsonl.gz`)
const asked = await readAnswers(fileOf('-days'))
const drafts = [...asked, ...(await readAnswers(fileOf('-drafts')))]
const days = joinAnswers(asked, drafts)
/** The published problems, with the samples of each seed of decoding. */
const published = inOneOrder([
  joinAnswers(await readAnswers(fileOf('')), drafts),
  ...(existsSync(fileOf('-seeds')) ? seedsOf(await readAnswers(fileOf('-seeds'))) : []).map((answers) =>
    joinAnswers(answers, drafts),
  ),
])
const problems = published[0]!
const measured: Measurement[] = []

const greedy = greedyOf(problems)

/** Divides answers by the seed that they were decoded under. */
function seedsOf(answers: Awaited<ReturnType<typeof readAnswers>>) {
  return [...Map.groupBy(answers, ({ run }) => run).values()]
}

/** Within-question AUC of a judge on the published samples. */
async function orderOf({ score }: Judge): Promise<Figure> {
  const answers = published.flat().flatMap((question) => examplesOf(question, 'heldOut').slice(1))
  const scores = await score(answers.map(({ known }) => known))
  const scored = answers.map(({ answer }, index) => ({ ...answer, score: scores[index]! }))
  return measureJudge(scored, { seed: 0 })['withinAuc']!
}

/** What `auto` gains over the drafts by the policy of a judge, by effort; an effort without bands is left out. */
function gainsOf({ weights }: Judge): readonly { readonly effort: string; readonly outcomes: Outcomes }[] {
  const { policy } = weights
  if (policy === undefined) return []
  return EFFORTS.flatMap((effort) => {
    const bands = policy[effort]
    if (bands === undefined) return []
    const alone = { ...weights, policy: { signal: policy.signal, [effort]: bands } }
    const each = published.map((questions) => {
      const answers = questions.flatMap((question) => examplesOf(question, 'heldOut'))
      return {
        right: comparePolicies(alone, null, answers).map(({ mine }) => mine),
        tokens: measureJudgePolicy(alone, answers)[`policy.${effort}.tokens`]!.value,
      }
    })
    return [{ effort, outcomes: overSeeds(each) }]
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
        : difference((await bestByJudge(published, { count: 8, draft: true }, serving)).right, greedy.right)
    const policy = serving === null ? undefined : gainsOf(serving).find(({ effort }) => effort === 'medium')
    const auto = policy && {
      gain: difference(policy.outcomes.right, greedy.right),
      tokens: policy.outcomes.tokens,
    }
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
    measured.push({ part: 'nights', case: { seed, night }, n: problems.length, figures, seeds: [seed] })
  }
  return rows
}

/** Accuracy by tokens: choices of samples, and `auto` at its three efforts. */
async function measureBudgets(judges: ReadonlyMap<number, Judge>): Promise<void> {
  const rows: (string | number)[][] = []
  const vote = await votesByLogProbability(published, { count: 8, draft: false })
  const add = (strategy: string, seed: number | null, { right, tokens, deviation }: Outcomes) => {
    const accuracy = mean(right)
    const [toGreedy, toMajority] = [difference(right, greedy.right), difference(right, vote.right)]
    const shown = [toGreedy, toMajority].flatMap(({ value, low, high }) => [value, low ?? '-', high ?? '-'])
    rows.push([strategy, seed ?? '-', accuracy, deviation ?? '-', ...shown, tokens])
    const figures = { accuracy, deviation, toGreedy, toMajority, tokens }
    const labels = { strategy, ...(seed !== null && { seed }) }
    measured.push({ part: 'budgets', case: labels, n: problems.length, figures })
  }
  add('greedy', null, greedy)
  for (const among of AMONGS) add(`majority of ${nameOf(among)}`, null, await votes(published, among))
  for (const among of AMONGS) {
    const strategy = `majority of ${nameOf(among)}, ties by log-probability`
    add(strategy, null, await votesByLogProbability(published, among))
  }
  for (const rounds of ROUNDS) add(inRounds(rounds), null, await votesInRounds(published, rounds))
  for (const [seed, judge] of judges) {
    for (const among of AMONGS) {
      add(`best of ${nameOf(among)} by judge`, seed, await bestByJudge(published, among, judge))
    }
    for (const { effort, outcomes } of gainsOf(judge)) add(`auto, ${effort}`, seed, outcomes)
  }
  printTable(
    'Accuracy by tokens on the published problems, after the last night',
    [
      'strategy',
      'seed',
      'accuracy',
      'sd over seeds of decoding',
      ...['minus greedy', 'low', 'high', 'minus majority of 8', 'low', 'high'],
      'tokens',
    ],
    rows,
  )
}

/**
 * Choices that need nothing trained, on all questions: those of the days and the published ones, which are drawn alike.
 */
async function measureUntrained(): Promise<void> {
  const onAll = async (measure: (seeds: SeededQuestions) => Promise<Outcomes>) =>
    followedBy(await measure([days]), await measure(published))
  const drafted = followedBy(greedyOf(days), greedy)
  const vote = await onAll((seeds) => votesByLogProbability(seeds, { count: 8, draft: false }))
  const rows: (string | number)[][] = []
  const add = (strategy: string, { right, tokens }: Outcomes) => {
    const [toGreedy, toMajority] = [difference(right, drafted.right), difference(right, vote.right)]
    const figures = { accuracy: mean(right), toGreedy, toMajority, tokens }
    measured.push({ part: 'untrained', case: { strategy }, n: right.length, figures })
    const shown = [toGreedy, toMajority].flatMap(({ value, low, high }) => [value, low ?? '-', high ?? '-'])
    rows.push([strategy, figures.accuracy, ...shown, tokens])
  }
  add('greedy', drafted)
  for (const among of AMONGS) {
    const name = nameOf(among)
    add(`majority of ${name}, ties by reward`, await onAll((seeds) => votes(seeds, among)))
    add(
      `majority of ${name}, ties by log-probability`,
      await onAll((seeds) => votesByLogProbability(seeds, among)),
    )
    for (const [signal, scoreOf] of Object.entries(SIGNALS)) {
      add(`best of ${name} by ${signal}`, await onAll((seeds) => bestBy(seeds, among, scoreOf)))
    }
  }
  for (const rounds of ROUNDS) {
    add(inRounds(rounds), await onAll((seeds) => votesInRounds(seeds, rounds)))
  }
  const n = drafted.right.length
  printTable(
    `Choices that need nothing trained, on all ${n} questions`,
    ['strategy', 'accuracy', 'minus greedy', 'low', 'high', 'minus majority', 'low', 'high', 'tokens'],
    rows,
  )
}

/** Policies that other rules would choose, on questions that they were not chosen on. */
function measureRules(judges: ReadonlyMap<number, Judge>): void {
  const answersOf = (questions: readonly KeptQuestion[]) =>
    questions.flatMap((question) => examplesOf(question, 'train'))
  const [tuning, others] = [answersOf(days), answersOf(problems)]
  const arms = [...judges.values()].map(({ weights }) => ({
    tuning: measureArms(weights, tuning),
    others: measureArms(weights, others),
  }))
  const n = days.length - CHOSEN_ON + problems.length
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
  if (problems.some(({ samples }) => samples.some(({ lrm }) => typeof lrm !== 'number'))) {
    console.log('\n**NOT MEASURED: these answers have no estimates of a reward model.**')
    return
  }
  const rows: (string | number)[][] = []
  for (const count of [5, 8]) {
    const among = { count, draft: false }
    const majority = await votes([problems], among)
    const drawn = await choosing([problems], among, (samples) =>
      ltoDistribution(
        samples.map(({ lrm }) => lrm ?? 0),
        BETA,
      ),
    )
    const random = await choosing([problems], among, (samples) => samples.map(() => 1 / samples.length))
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
        n: problems.length,
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
  `# Nights over kept answers of ${values.name}\n\n${days.length} questions to learn from, ${problems.length} published`,
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
  `Nights; the served judge on ${problems.length} published problems, auto at effort medium`,
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
await measureUntrained()
await measureBudgets(judges)
measureRules(judges)
await measureShuffled(Number(values.shuffles))
await measureLto()
if (values.docs) {
  await writeFile(
    join(import.meta.dirname, '../docs/bench/judge-nights.svg'),
    drawPlots(plotNights(measured)),
  )
}
if (values.json !== undefined) await updateRecords(values.json, { bench: 'judge', machine, seeds }, measured)
