/**
 * @file The answers of one request. Every answer is decoded, read, judged, counted and recorded here, so that a strategy cannot
 * forget one of these: `begin` and `finish` (the draft), `complete` (prefixes from latents), `sample`.
 */

import {
  type Answer,
  deriveSeed,
  type Evaluation,
  type Judge,
  type Judgement,
  ofHighestStanding,
  takeLatents,
} from '#algorithms'
import type { PromptCodec } from '#engine'
import type { CandidateKind } from '#episodes'
import { hasCode, ServiceError } from '#errors'
import type { Continuation, FusedJudge, GenerationRow, LatentSession, Latents, TokenSignals } from '#ports'
import { rowsAttribute, type Span, type Tracer, usageAttributes } from '#tracing'
import { type AnswerText, createAnswerText, cutAtStop, type StopRules, withoutPart } from './answer-text.ts'
import { generateBounded } from './bound-thoughts.ts'
import type { SolveEvent } from './contract.ts'
import { finiteThought } from './finite-thought.ts'
import type { AnswerFormat } from './judging/answer-format.ts'
import type { Confidences } from './judging/confidences.ts'
import { fuseJudgements } from './judging/fuse-judgements.ts'
import { withStandings } from './judging/standings.ts'
import type { Settings } from './settings.ts'
import { joinSignals, sharedSignals, takeSignals } from './signals.ts'
import {
  describeCandidate,
  draftAndSamples,
  type JudgedCandidate,
  type RefutedAnswers,
  type SolveState,
} from './solve-state.ts'

/** The judgement of an answer that the time ran out on: the lowest reward, and no terms that could pass for a verdict. */
const UNJUDGED: Judgement = { reward: -1, terms: {}, correctness: null }

/** Tokens that an answer begins with, as decoded from latents. */
type Prefix = readonly number[]

/** The greedy answer from the prompt alone. */
export interface Draft {
  readonly evaluation: Evaluation
  /** The latents that predicted its first tokens, `[min(T, asked), D]`. */
  readonly latents: Latents
}

interface DraftLimits {
  readonly maxTokens: number
  /** Leading latents to return. */
  readonly latents: number
}

export interface Answers {
  /**
   * Decodes at most `maxTokens` tokens of the draft and returns at most `latents` of their latents. Nothing is judged yet.
   *
   * @throws ServiceError ABORTED when the time is up before the first token.
   */
  begin(limits: DraftLimits): Promise<Continuation>
  /**
   * Decodes the rest of a draft within the token budget, judges it and emits `draft`. When the time is up before the rest is
   * decoded, the part that exists is the draft: cut short, and unjudged.
   */
  finish(begun: Continuation): Promise<Draft>
  /**
   * Continues prefixes greedily on the prompt's cache, in one batch, and judges the answers. A prefix that ends in EOS is the
   * answer itself; one with no token left to decode is an answer cut short. Tokens that a prefix shares with the draft keep the
   * draft's signals.
   *
   * @param logProbabilities log-probability, in nats, of the first token of each prefix that is not the draft's; the signals of
   *   that token are unknown unless given
   * @throws ServiceError ABORTED when the time is up before all are judged.
   */
  complete(prefixes: readonly Prefix[], logProbabilities?: readonly number[]): Promise<readonly Evaluation[]>
  /**
   * Samples `count` answers in one batch and judges them. Each row has its own seed, derived from the request's, and rows of a
   * later call have others. A token budget is shared evenly; when it is smaller than `count`, fewer answers are sampled. When the
   * time is up, the finished samples are returned, else the parts that exist, unjudged. Refuted answers are returned only where
   * there are no others. With `settings.keepDraft`, the greedy draft is one more row of the batch: it is judged and recorded, and
   * not returned.
   *
   * @param beside draft and samples of earlier calls, which are returned before the new ones, with a P(correct) that knows whether
   *   these agree with them; none unless given
   * @throws ServiceError ABORTED when the time is up before the first token.
   */
  sample(count: number, beside?: readonly Evaluation[]): Promise<readonly Evaluation[]>
  /**
   * Calibrated P(correct) in [0, 1] of each answer by the latent reward model, in order; null for an answer without a thought.
   * Null for all when there is no model, the time is up, or the model failed (then `degraded` names `lrm`).
   */
  confidences(answers: readonly Answer[]): Promise<readonly (number | null)[] | null>
  /** Whether the request's token budget leaves less than one token for each of `rows` answers. */
  isExhausted(rows: number): boolean
}

export interface AnswersDeps {
  readonly session: LatentSession
  readonly judge: Judge
  readonly confidences: Confidences
  /** Null while none is active. */
  readonly fusedJudge: FusedJudge | null
  readonly codec: Pick<PromptCodec, 'decode' | 'splitThought' | 'thoughtEnd'>
  readonly answerFormat: Pick<AnswerFormat, 'extract' | 'split'>
  readonly eosTokenIds: readonly number[]
  readonly settings: Pick<
    Settings,
    'answerTokens' | 'totalTokens' | 'searchTokens' | 'thoughtTokens' | 'sampling' | 'stop' | 'keepDraft'
  >
  readonly seed: number
  /** Whether answers come with their latent thoughts. */
  readonly withThoughts: boolean
  /** Whether the text of the draft, or of the first sample, is emitted as it is decoded. */
  readonly withTokens: boolean
  /** Whether tokens are counted as they are decoded, so that those of a cancelled request are known. */
  readonly countsEarly: boolean
  /** Whether answers come with the signals of their tokens. */
  readonly withSignals: boolean
  /** Answers that callers called wrong when the same question came before. */
  readonly refuted: () => Promise<RefutedAnswers>
  readonly signal: AbortSignal
  readonly emit: (event: SolveEvent) => void
  readonly state: SolveState
  readonly tracer: Tracer
}

export function createAnswers(deps: AnswersDeps): Answers {
  return new JudgedAnswers(deps)
}

class JudgedAnswers implements Answers {
  readonly #deps: AnswersDeps
  readonly #stopRules: StopRules
  /** Text of the draft, which `begin` and `finish` decode in turn, or of the first sample where there is no draft. */
  readonly #firstText: AnswerText
  /** Tokens of the shortest answer so far; null while there is none. */
  #shortest: number | null = null
  /** The draft, as far as it is decoded; null before. */
  #draft: Pick<Continuation, 'tokens' | 'signals'> | null = null
  /** Samples that have a seed. */
  #sampled = 0

  constructor(deps: AnswersDeps) {
    this.#deps = deps
    const { codec, eosTokenIds, settings, withTokens, emit } = deps
    this.#stopRules = { codec, eosTokenIds, stop: settings.stop }
    this.#firstText = createAnswerText(
      this.#stopRules,
      withTokens ? (data) => emit({ event: 'tokens', data }) : undefined,
    )
  }

  async begin({ maxTokens, latents }: DraftLimits): Promise<Continuation> {
    const begun = await this.#decodeDraft({
      prefix: [],
      maxNewTokens: Math.min(maxTokens, this.#allowance(1, 0)),
      latents: Math.min(latents, this.#deps.settings.answerTokens),
    })
    if (begun !== undefined && begun.tokens.length > 0) {
      this.#draft = begun
      return begun
    }
    throw new ServiceError('ABORTED', 'draft: expected at least one token, got none before the time was up')
  }

  async finish(begun: Continuation): Promise<Draft> {
    const whole = await this.#wholeDraft(begun)
    this.#draft = whole
    this.#firstText.end()
    const [evaluation] = await this.#judge('draft', [this.#read(whole)])
    const { answer, judgement } = evaluation!
    this.#deps.emit({
      event: 'draft',
      data: {
        answer: answer.answer,
        reasoning: this.#deps.answerFormat.split(answer.text).reasoning,
        reward: judgement.reward,
      },
    })
    return { evaluation: evaluation!, latents: begun.latents }
  }

  async complete(
    prefixes: readonly Prefix[],
    logProbabilities?: readonly number[],
  ): Promise<readonly Evaluation[]> {
    const { signal, seed, tracer } = this.#deps
    const rows = prefixes.length
    const open = prefixes.filter(
      (prefix) => !this.#endsInEos(prefix) && this.#allowance(rows, prefix.length) > 0,
    )
    const decoded = await tracer.trace('regenerate', {}, (span) =>
      this.#decode(
        open.map((prefix) => ({
          prefix,
          temperature: 0,
          seed,
          maxNewTokens: this.#allowance(rows, prefix.length),
          latents: 0,
        })),
        span,
      ),
    )
    const continuations = new Map(open.map((prefix, index) => [prefix, decoded[index]!]))
    const answers = prefixes.map((prefix, index) => {
      const continuation = continuations.get(prefix)
      const known = this.#draft && sharedSignals(prefix, this.#draft, logProbabilities?.[index])
      return continuation === undefined
        ? this.#readUndecoded(prefix, known)
        : this.#read({ ...continuation, signals: joinSignals(known, continuation.signals) })
    })
    const evaluations = await this.#judge('regeneration', answers)
    if (signal.aborted) throw new ServiceError('ABORTED', 'complete: expected a verdict, got none in time')
    return evaluations
  }

  async sample(count: number, beside: readonly Evaluation[] = []): Promise<readonly Evaluation[]> {
    const { settings, seed, state } = this.#deps
    let rows = Math.min(count, settings.totalTokens, settings.searchTokens + 1)
    // Beside a draft, less may be left than a token for each.
    while (rows > 1 && this.isExhausted(rows)) rows -= 1
    const { temperature, ...sampling } = settings.sampling
    const drafts = settings.keepDraft && !this.isExhausted(rows + 1) ? 1 : 0
    const own = { prefix: [], maxNewTokens: this.#allowance(rows + drafts, 0), latents: 0 }
    const first = this.#sampled
    const isFirst = first === 0 && this.#draft === null
    this.#sampled += rows
    const asked = Array.from({ length: rows + drafts }, (_, row) => {
      if (row >= rows) return { ...own, temperature: 0, seed }
      const drawn = deriveSeed(seed, first + row)
      // Each sample of a depth-recurrent model thinks from a noise of its own, in its prompt too.
      return { ...own, temperature, sampling, seed: drawn, noise: drawn }
    })
    const decoded = await state.meter.time('draftMs', (span) =>
      this.#decode(
        asked,
        span,
        asked.map((_, row) => (isFirst && row === 0 ? this.#firstText : this.#textOf([]))),
      ),
    )
    this.#firstText.end()
    for (const greedy of decoded.slice(rows)) {
      if (greedy.finish !== 'aborted') await this.#judge('draft', [this.#read(greedy)])
    }
    const begun = decoded.slice(0, rows).filter(({ tokens }) => tokens.length > 0)
    if (begun.length === 0) {
      throw new ServiceError(
        'ABORTED',
        'samples: expected at least one token, got none before the time was up',
      )
    }
    const finished = begun.filter(({ finish }) => finish !== 'aborted')
    const read = finished.length > 0 ? finished : begun
    const samples = await this.#judge(
      'sample',
      read.map((continuation) => this.#read(continuation)),
    )
    return ofHighestStanding([...(await this.#besideSamples(beside)), ...samples])
  }

  confidences(answers: readonly Answer[]): Promise<readonly (number | null)[] | null> {
    const { state, confidences } = this.#deps
    return state.meter.time('rewardMs', () => confidences.of(answers), 'confidence')
  }

  isExhausted(rows: number): boolean {
    return this.#share(rows) < 1
  }

  async #wholeDraft(begun: Continuation): Promise<Continuation> {
    const { signal } = this.#deps
    const maxNewTokens = this.#allowance(1, begun.tokens.length)
    if (begun.finish !== 'length' || maxNewTokens === 0) return begun
    const cut: Continuation = { ...begun, finish: 'aborted' }
    if (signal.aborted) return cut
    try {
      // Decoded from the prompt, so that thought and cache cover the whole answer; the tokens that exist are fed, not decoded.
      const whole = await this.#decodeDraft({ prefix: begun.tokens, maxNewTokens, latents: 0 })
      return whole === undefined ? begun : { ...whole, signals: joinSignals(begun.signals, whole.signals) }
    } catch (error) {
      if (hasCode(error, 'ABORTED') && signal.aborted) return cut
      throw error
    }
  }

  async #decodeDraft(
    row: Pick<GenerationRow, 'prefix' | 'maxNewTokens' | 'latents'>,
  ): Promise<Continuation | undefined> {
    const { seed, state } = this.#deps
    const [decoded] = await state.meter.time('draftMs', (span) =>
      this.#decode([{ ...row, temperature: 0, seed }], span, [this.#firstText]),
    )
    return decoded
  }

  /**
   * Decodes rows in one batch and counts their tokens. A row ends at a stop sequence, within a chunk of tokens; what it has
   * decoded beyond is dropped.
   *
   * @param texts texts of the rows, which hold their prefixes; by default new ones, without `emit`
   */
  async #decode(
    rows: readonly Omit<GenerationRow, 'thought' | 'signals'>[],
    span: Span,
    texts = rows.map(({ prefix }) => this.#textOf(prefix)),
  ): Promise<readonly Continuation[]> {
    const { session, withThoughts, withSignals, withTokens, state, codec, settings, signal } = this.#deps
    const { countsEarly } = this.#deps
    if (rows.length === 0) return []
    const isFollowed = (text: AnswerText) =>
      settings.stop.length > 0 || (withTokens && text === this.#firstText)
    let received = 0
    const decoded = await generateBounded(
      session,
      rows.map((row, index) => {
        const text = texts[index]!
        const asked = { ...row, thought: withThoughts, signals: withSignals }
        if (!countsEarly && !isFollowed(text)) return asked
        return {
          ...asked,
          onTokens(tokens) {
            received += tokens.length
            return isFollowed(text) ? text.add(tokens) : true
          },
        }
      }),
      { codec, thoughtTokens: settings.thoughtTokens, signal },
    ).catch((thrown: unknown) => {
      state.meter.generatedTokens += received
      throw thrown
    })
    const output = decoded.reduce((sum, { generatedTokens }) => sum + generatedTokens, 0)
    state.meter.generatedTokens += output
    span.set({ ...rowsAttribute(rows.length), ...usageAttributes({ output }) })
    for (const { reusedPromptTokens = 0, recurrences } of decoded) {
      if (recurrences !== undefined) state.meter.recurrences = (state.meter.recurrences ?? 0) + recurrences
      state.meter.cachedTokens = Math.max(state.meter.cachedTokens, reusedPromptTokens)
    }
    return settings.stop.length === 0 ? decoded : this.#cutAtStops(decoded, texts, rows)
  }

  #textOf(prefix: Prefix): AnswerText {
    const text = createAnswerText(this.#stopRules)
    text.add(prefix)
    return text
  }

  /**
   * Cuts continuations after the token that completes a stop sequence. The engine has no sequence and no thought that end
   * there, so it is asked for them; when the time is up, nothing will be judged, and they stay as they are.
   */
  async #cutAtStops(
    decoded: readonly Continuation[],
    texts: readonly AnswerText[],
    rows: readonly Pick<GenerationRow, 'noise'>[],
  ): Promise<readonly Continuation[]> {
    const { session, seed, withThoughts, signal } = this.#deps
    const cut = decoded.map((continuation, index): Continuation => {
      const text = texts[index]!
      // All of them, where the tokens did not come while they were decoded.
      text.add(continuation.tokens.slice(text.length))
      if (text.stoppedAt === null) return continuation
      const tokens = continuation.tokens.slice(0, text.stoppedAt)
      return {
        ...continuation,
        tokens,
        latents: takeLatents(continuation.latents, tokens.length),
        signals: takeSignals(continuation.signals, tokens.length),
        finish: 'eos',
      }
    })
    const changed = cut.flatMap((continuation, index) => {
      const { noise } = rows[index]!
      return continuation === decoded[index] ? [] : [{ continuation, ...(noise !== undefined && { noise }) }]
    })
    if (changed.length === 0 || signal.aborted) return cut
    const bare = { temperature: 0, seed, maxNewTokens: 0, latents: 0, thought: withThoughts }
    try {
      const read = await session.generate(
        changed.map(({ continuation, ...own }) => ({ ...bare, ...own, prefix: continuation.tokens })),
      )
      const ends = new Map(changed.map(({ continuation }, index) => [continuation, read[index]!]))
      return cut.map((continuation) => {
        const end = ends.get(continuation)
        return end === undefined
          ? continuation
          : { ...continuation, sequence: end.sequence, thought: end.thought }
      })
    } catch (error) {
      if (hasCode(error, 'ABORTED') && signal.aborted) return cut
      throw error
    }
  }

  /** Tokens that each of `rows` answers may still decode after `prefix` tokens: its share of the budget, within its own limit. */
  #allowance(rows: number, prefix: number): number {
    return Math.max(0, Math.min(this.#deps.settings.answerTokens - prefix, this.#share(rows)))
  }

  #share(rows: number): number {
    return Math.floor((this.#limit(rows) - this.#deps.state.meter.generatedTokens) / rows)
  }

  /**
   * Upper bound on all tokens of the request, those of `rows` answers that are decoded next included. `searchTokens` bounds
   * what is decoded beside the returned answer, whichever it will be: one of the next, or the shortest so far.
   */
  #limit(rows: number): number {
    const { settings, state } = this.#deps
    const { totalTokens, searchTokens } = settings
    if (!Number.isFinite(searchTokens)) return totalTokens
    const { generatedTokens } = state.meter
    const left = searchTokens - generatedTokens
    const others = rows === 1 ? Number.POSITIVE_INFINITY : Math.floor(left / (rows - 1))
    const ifNext = left < 0 ? generatedTokens : generatedTokens + rows * others
    const ifEarlier = this.#shortest === null ? Number.POSITIVE_INFINITY : searchTokens + this.#shortest
    return Math.min(totalTokens, ifNext, ifEarlier)
  }

  #read({ tokens, finish, sequence, thought, signals }: Continuation): Answer {
    return this.#answer({ tokens, finish, sequence, tail: [], thought: finiteThought(thought), signals })
  }

  /** An answer of the prefix alone. The engine has no sequence for it: a judge continues the prompt with the answer's tokens. */
  #readUndecoded(prefix: Prefix, signals: TokenSignals | null): Answer {
    const finish = this.#endsInEos(prefix) || this.#textOf(prefix).stoppedAt !== null ? 'eos' : 'length'
    const sequence = this.#deps.session.prompt
    return this.#answer({ tokens: prefix, finish, sequence, tail: prefix, thought: null, signals })
  }

  #answer(decoded: Omit<Answer, 'text' | 'answer'>): Answer {
    const { tokens } = decoded
    // An EOS token that the tokenizer does not call special has a text.
    const written = this.#deps.codec.decode(this.#endsInEos(tokens) ? tokens.slice(0, -1) : tokens)
    // A limit may cut a character of several tokens: what is left of it is no text.
    const whole = decoded.finish === 'eos' ? written : withoutPart(written)
    const text = cutAtStop(whole, this.#stopRules)
    this.#shortest = Math.min(this.#shortest ?? tokens.length, tokens.length)
    return { ...decoded, text, answer: this.#deps.answerFormat.extract(text) }
  }

  #endsInEos(prefix: Prefix): boolean {
    const last = prefix.at(-1)
    return last !== undefined && this.#deps.eosTokenIds.includes(last)
  }

  /**
   * Judges answers in one batch and records them as candidates; each but the draft is emitted as `candidate`. When the time is
   * up they stay unjudged: reward -1, no terms, no candidates. Refuted answers are marked as such.
   */
  async #judge(kind: CandidateKind, answers: readonly Answer[]): Promise<readonly Evaluation[]> {
    const { state, emit } = this.#deps
    const judgements = await this.#judgeInTime(answers)
    const refuted = await this.#deps.refuted()
    const judged = answers.map((answer, index) => ({ answer, judgement: judgements?.[index] ?? UNJUDGED }))
    if (judgements === null) return withStandings(judged, refuted)
    const evaluations = withStandings(await this.#fuse(kind, judged), refuted)
    for (const evaluation of evaluations) {
      const candidate: JudgedCandidate = { kind, evaluation }
      state.candidates.push(candidate)
      if (kind !== 'draft') emit({ event: 'candidate', data: describeCandidate(candidate) })
    }
    return evaluations
  }

  /** Adds P(correct) by the fused judge, if there is one. */
  async #fuse(kind: CandidateKind, judged: readonly Evaluation[]): Promise<readonly Evaluation[]> {
    const { fusedJudge, state } = this.#deps
    if (fusedJudge === null) return judged
    const confidences = await this.confidences(judged.map(({ answer }) => answer))
    const peers = kind === 'sample' ? [...draftAndSamples(state), ...judged] : null
    return fuseJudgements(fusedJudge, judged, { peers, confidences })
  }

  /** Earlier answers with a P(correct) that knows whether the samples since agree with them. */
  async #besideSamples(earlier: readonly Evaluation[]): Promise<readonly Evaluation[]> {
    const { fusedJudge, state } = this.#deps
    if (fusedJudge === null || earlier.length === 0) return earlier
    const confidences = earlier.map(({ judgement }) => judgement.lrm ?? null)
    return fuseJudgements(fusedJudge, earlier, { peers: draftAndSamples(state), confidences })
  }

  async #judgeInTime(answers: readonly Answer[]) {
    const { judge, signal, state } = this.#deps
    if (signal.aborted) return null
    try {
      return await state.meter.time('rewardMs', (span) => {
        span.set(rowsAttribute(answers.length))
        return judge.judge(answers)
      })
    } catch (error) {
      if (hasCode(error, 'ABORTED') && signal.aborted) return null
      throw error
    }
  }
}
