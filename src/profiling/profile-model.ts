/**
 * @file Measures a profile, in stages that share one budget of time: prompt, judge, embedding, search. Each stage uses
 * what the ones before it have chosen; a stage with too few measurements keeps what the profile had.
 */

import type { PolicyChoice } from '#algorithms'
import type { ModelProfile } from '#engine'
import type { Problem } from '#evaluation'
import { createQuestionSpan, promptMessages } from '#solving'
import { chooseEmbedding, type EmbeddingChoice } from './choose-embedding.ts'
import { chooseJudge, type JudgeChoice } from './choose-judge.ts'
import { choosePrompt, type PromptRow } from './choose-prompt.ts'
import {
  chooseLatents,
  choosePatience,
  chooseRates,
  multiplesOf,
  type Rates,
  type SearchRecord,
  type SearchRow,
  searchRow,
} from './choose-search.ts'
import { chooseSelector, type SelectorChoice } from './choose-selector.ts'
import { askUnder, type DraftRecord, draftKey, type Measuring, measureDraft, withJudges } from './drafts.ts'
import { BANK_SAMPLES, type BankRecord, measurePolicy } from './measure-policy.ts'
import {
  type CheckedWords,
  checkVerdictWords,
  type JudgeTemplate,
  judgeTemplates,
  promptTemplates,
} from './templates.ts'
import type { Stages } from './timed-stages.ts'

export interface Findings {
  readonly profile: ModelProfile
  readonly prompt: { readonly rows: readonly PromptRow[]; readonly chosen: string }
  readonly words: readonly CheckedWords[]
  readonly judge: JudgeChoice & { readonly drafts: number; readonly right: number }
  /** null: too few problems, or families. */
  readonly embedding: EmbeddingChoice | null
  /** null: too few problems. */
  readonly policy: PolicyChoice | null
  /** null: too few problems. */
  readonly selector: SelectorChoice | null
  readonly search: {
    /** Searches with different learning rates, and with different rho. */
    readonly rates: readonly SearchRow[]
    readonly shares: readonly SearchRow[]
    /** null: too few searches. */
    readonly chosen: Rates | null
    readonly patience: ReturnType<typeof choosePatience>
  }
}

export interface ProfileOptions extends Measuring {
  readonly stages: Stages
  /** Precision of passed drafts that `stopReward` must have. */
  readonly precision: number
}

/** File of the embedding mean. */
const MEAN_FILE = 'embedding-mean.bin'

/** Learning rates, and shares of moved positions, as multiples of the profile's own. */
const RATE_STEPS = [1 / 3, 1, 3, 10]
const RHO_STEPS = [1 / 2, 1, 2]
/** Patience of measured searches. */
const PATIENCE = 5

export async function profileModel(problems: readonly Problem[], options: ProfileOptions): Promise<Findings> {
  const { engine } = options
  const base = engine.model.profile
  const words = checkVerdictWords(engine.codec)
  const judges = judgeTemplates(base, engine.codec, words)
  const prompt = await measurePrompts(base, judges, problems, options)
  const prompted = { ...base, solver: prompt.template.solver, answer: prompt.template.answer }
  const judge = await measureJudges(prompted, judges, problems, options)
  const judged = withJudge(prompted, judges[judge.chosen]!, judge)
  const embedding = await measureEmbedding(judged, problems, options)
  const embedded = embedding === null ? judged : withEmbedding(judged, embedding)
  const { policy, selector } = await measureSamples(embedded, judge, problems, options)
  const search = await measureSearch(embedded, problems, options)
  const { chosen, patience } = search
  const defaults = {
    ...embedded.defaults,
    ...(chosen !== null && { ...chosen, latents: chooseLatents(chosen.rho, judge.draftTokens) }),
    ...(patience.patience !== null && { patience: patience.patience }),
    ...(policy?.policy && { policy: policy.policy }),
    ...(selector !== null && { selector: selector.chosen }),
  }
  return {
    profile: { ...embedded, defaults },
    prompt: { rows: prompt.rows, chosen: prompt.template.name },
    words,
    judge,
    embedding,
    policy,
    selector,
    search,
  }
}

async function measurePrompts(
  base: ModelProfile,
  judges: readonly JudgeTemplate[],
  problems: readonly Problem[],
  options: ProfileOptions,
) {
  const templates = promptTemplates(base, options.engine.codec)
  const askings = templates.map(({ solver, answer }) =>
    askUnder(withJudges({ ...base, solver, answer }, judges), problems, options),
  )
  // Problem by problem: a stage that ends early has compared all templates on the same problems.
  const items = problems.flatMap((problem) => askings.map((asking) => ({ problem, asking })))
  const results = await options.stages.run(
    { name: 'prompts', isKnown: ({ problem, asking }) => options.folder.has(draftKey(asking, problem)) },
    templates.length === 1 ? [] : items,
    ({ problem, asking }) => measureDraft(asking, problem, judges, options),
  )
  const drafts = templates.map((_, index) => results.filter((_, place) => place % templates.length === index))
  const { rows, chosen } = choosePrompt(
    templates.map(({ name }) => name),
    drafts,
  )
  return { rows, template: templates[chosen]! }
}

async function measureJudges(
  profile: ModelProfile,
  judges: readonly JudgeTemplate[],
  problems: readonly Problem[],
  options: ProfileOptions,
) {
  const asking = askUnder(withJudges(profile, judges), problems, options)
  const results = await options.stages.run(
    { name: 'drafts', isKnown: (problem) => options.folder.has(draftKey(asking, problem)) },
    problems,
    (problem) => measureDraft(asking, problem, judges, options),
  )
  const drafts = results.filter((draft): draft is DraftRecord => draft !== null)
  const names = judges.map(({ name }) => name)
  return {
    ...chooseJudge(names, drafts, profile.defaults.rewardWeights, options.precision),
    drafts: drafts.length,
    right: drafts.filter(({ right }) => right).length,
    draftTokens: drafts.map(({ tokens }) => tokens),
    ofProblems: results,
  }
}

/** The profile with the judge and its threshold; without one, no verdict ends a search. */
function withJudge(
  profile: ModelProfile,
  { criterion }: JudgeTemplate,
  { chosen, stop }: JudgeChoice,
): ModelProfile {
  const judge = chosen === 0 ? profile.judge : { ...profile.judge, criteria: [criterion] }
  const { defaults } = profile
  // Rounded down: what passed must pass.
  const threshold = stop && Math.max(-1, Math.floor(stop.stopReward * 10_000) / 10_000)
  const thresholds =
    threshold === null ? { stopReward: 0 } : { stopReward: threshold, admitReward: threshold }
  return { ...profile, judge, defaults: { ...defaults, ...thresholds } }
}

async function measureEmbedding(
  profile: ModelProfile,
  problems: readonly Problem[],
  { engine, stages, signal }: ProfileOptions,
): Promise<EmbeddingChoice | null> {
  const known = problems.filter(({ family }) => family !== null)
  if (engine.thoughtLayers === 0 || known.length === 0) return null
  const model = { ...engine.model, profile }
  const placeOf = createQuestionSpan({ codec: engine.codec, model })
  const results = await stages.run({ name: 'embeddings' }, known, async (problem) => {
    const messages = promptMessages(problem, engine.codec, profile)
    const prompt = engine.codec.encodeChat(messages)
    const session = await engine.open(prompt, { signal })
    try {
      const { data, width, layers } = await session.pool(placeOf(prompt))
      const pooled = Array.from({ length: layers }, (_, layer) =>
        data.slice(layer * width, (layer + 1) * width),
      )
      return { family: problem.family!, states: [await session.embed(), ...pooled] }
    } finally {
      session.close()
    }
  })
  return chooseEmbedding(results.filter((states) => states !== null))
}

function withEmbedding(profile: ModelProfile, { chosen: { layer }, floor }: EmbeddingChoice): ModelProfile {
  const { defaults } = profile
  return {
    ...profile,
    embedding: {
      ...(layer === null ? { token: 'last' } : { token: 'question', layer }),
      mean: MEAN_FILE,
    },
    defaults: { ...defaults, minSimilarity: floor },
  }
}

/** Samples and judges answers of every problem with a draft, for the policy and the choice among samples. */
async function measureSamples(
  profile: ModelProfile,
  { chosen, ofProblems }: { readonly chosen: number; readonly ofProblems: readonly (DraftRecord | null)[] },
  problems: readonly Problem[],
  options: ProfileOptions,
): Promise<Pick<Findings, 'policy' | 'selector'>> {
  const asking = askUnder(profile, problems, options)
  const keyOf = ({ id }: Problem) => `samples ${asking.key} ${id}`
  const drafted = problems.filter((_, place) => ofProblems[place])
  const results = await options.stages.run(
    { name: 'samples', isKnown: (problem) => options.folder.has(keyOf(problem)) },
    drafted,
    (problem) =>
      options.folder.measure(keyOf(problem), async (): Promise<BankRecord & { judgedTokens: number }> => {
        const { candidates = [], usage } = await asking.ask(problem, {
          strategy: 'majority',
          samples: BANK_SAMPLES,
          explain: true,
        })
        const samples = candidates.map((each) => ({ ...each, right: asking.isRight(problem, each.answer) }))
        const judgedTokens = usage.rewardTokens / Math.max(1, samples.length)
        return { samples, tokens: usage.generatedTokens + usage.rewardTokens, judgedTokens }
      }),
  )
  const drafts = ofProblems.filter((draft) => draft !== null)
  const measured = results.flatMap((bank, place) => (bank === null ? [] : [{ draft: drafts[place]!, bank }]))
  const judgedTokens =
    measured.reduce((sum, { bank }) => sum + bank.judgedTokens, 0) / Math.max(1, measured.length)
  return {
    policy: measurePolicy(measured, chosen, judgedTokens),
    selector: chooseSelector(
      results.filter((bank) => bank !== null),
      profile.defaults.selector,
    ),
  }
}

async function measureSearch(profile: ModelProfile, problems: readonly Problem[], options: ProfileOptions) {
  const { lr, rho } = profile.defaults
  const rates = multiplesOf(lr, RATE_STEPS).map((each) => ({ lr: each, rho }))
  const byRate = await measureRates('rates', profile, rates, problems, options)
  const best = byRate.chosen ?? { lr, rho }
  const shares = multiplesOf(rho, RHO_STEPS)
    .filter((each) => each <= 1)
    .map((each) => ({ lr: best.lr, rho: each }))
  const byShare = await measureRates('rho', profile, shares, problems, options)
  return {
    rates: byRate.rows,
    shares: byShare.rows,
    chosen: byShare.chosen ?? byRate.chosen,
    patience: choosePatience([...byRate.searches, ...byShare.searches]),
  }
}

async function measureRates(
  name: 'rates' | 'rho',
  profile: ModelProfile,
  candidates: readonly Rates[],
  problems: readonly Problem[],
  options: ProfileOptions,
) {
  const askings = candidates.map((rates) => ({
    rates,
    ...askUnder(
      // No verdict ends these searches.
      {
        ...profile,
        defaults: { ...profile.defaults, ...rates, stopReward: 0, patience: PATIENCE, rollouts: 1 },
      },
      problems,
      options,
    ),
  }))
  const items = problems.flatMap((problem) => askings.map((asking) => ({ problem, asking })))
  const keyOf = (problem: Problem, { key }: { readonly key: string }) => `search ${key} ${problem.id}`
  const isKnown = ({ problem, asking }: (typeof items)[number]) => options.folder.has(keyOf(problem, asking))
  const results = await options.stages.run({ name, isKnown }, items, ({ problem, asking }) =>
    options.folder.measure(keyOf(problem, asking), async (): Promise<SearchRecord> => {
      const { candidates: answers = [], ...solution } = await asking.ask(problem, {
        strategy: 'latentseek',
        explain: true,
      })
      const draft = answers[0]?.answer ?? null
      return {
        rewards: answers.map(({ reward }) => reward),
        isDraftRight: asking.isRight(problem, draft),
        isRight: asking.isRight(problem, solution.answer),
        changed: answers.some(({ answer }) => answer !== draft),
        draftTokens: answers[0]?.tokens ?? 0,
        tokens: solution.usage.generatedTokens,
      }
    }),
  )
  const places = [...problems.keys()].filter((place) =>
    askings.every((_, index) => results[place * askings.length + index]?.rewards.length),
  )
  const searches = askings.map((_, index) => places.map((place) => results[place * askings.length + index]!))
  const rows = places.length === 0 ? [] : candidates.map((rates, index) => searchRow(rates, searches[index]!))
  const chosen = chooseRates(rows, searches, (name === 'rho' ? RHO_STEPS : RATE_STEPS).indexOf(1))
  return { rows, chosen: chosen === null ? null : candidates[chosen]!, searches: searches.flat() }
}
