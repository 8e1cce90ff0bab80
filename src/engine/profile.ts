/**
 * @file Schema of `circadian.json`, the profile of a model directory: prompts, judge, answer format and
 * measured defaults.
 */

import { type Static, Type } from 'typebox'
import { MAX_CANDIDATES } from '#decoder'
import { byEffort, Policy, UNTRAINED_SELECTORS } from '#ports'

const closed = { additionalProperties: false } as const

const Criterion = Type.Object(
  {
    /** `correctness` is special: stopping and admission also require P(correctness) >= 0.5. */
    name: Type.String({ minLength: 1 }),
    /**
     * Continuation judge: text appended to the answer. Other judges: the user turn, with {question} and
     * {answer}.
     */
    prompt: Type.String({ minLength: 1 }),
    /**
     * Verdict words. logit: words whose first token counts as true or as false; generate: the words
     * themselves; score: none.
     */
    true: Type.Array(Type.String({ minLength: 1 }), { default: [] }),
    false: Type.Array(Type.String({ minLength: 1 }), { default: [] }),
    weight: Type.Number({ exclusiveMinimum: 0 }),
  },
  closed,
)

const RewardWeights = Type.Object(
  {
    verifier: Type.Optional(Type.Number({ minimum: 0, default: 1 })),
    lrm: Type.Optional(Type.Number({ minimum: 0, default: 0 })),
    format: Type.Optional(Type.Number({ minimum: 0, default: 2 })),
  },
  closed,
)

/**
 * Sampling of `majority` and `lto`. A field that is not given is the one of `generation_config.json`, else
 * without effect: temperature 1, no rules.
 */
export const Sampling = Type.Object(
  {
    temperature: Type.Optional(Type.Number({ minimum: 0.01, maximum: 4 })),
    /** 0: no rule, but the sampler's own bound of as many tokens. */
    topK: Type.Optional(Type.Integer({ minimum: 0, maximum: MAX_CANDIDATES })),
    topP: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1 })),
    minP: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    /** As in transformers, prompt included. */
    repetitionPenalty: Type.Optional(Type.Number({ minimum: 0.1, maximum: 10 })),
  },
  { ...closed, default: {} },
)

/** Budgets of an effort; those of the defaults, times the share of the effort, unless given. */
const Budgets = Type.Object(
  {
    maxIterations: Type.Optional(Type.Integer({ minimum: 0, maximum: 256 })),
    patience: Type.Optional(Type.Integer({ minimum: 1, maximum: 256 })),
    samples: Type.Optional(Type.Integer({ minimum: 1, maximum: 64 })),
    /** Upper bound on the tokens decoded beside the answer. */
    maxSearchTokens: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_048_576 })),
  },
  closed,
)

/**
 * Defaults of a request; every field has one. Latents, learning rates and thresholds are measured per model.
 */
const Defaults = Type.Object(
  {
    latents: Type.Integer({ minimum: 1, maximum: 300, default: 15 }),
    rho: Type.Number({ exclusiveMinimum: 0, maximum: 1, default: 0.1 }),
    /**
     * Direction of every update: that of the gradient, or a random one, the control of a measurement.
     */
    direction: Type.Union([Type.Literal('gradient'), Type.Literal('random')], { default: 'gradient' }),
    /**
     * Places of an answer at which `fork` branches and at which the latents of `latentseek` begin: its beginning, the
     * positions of highest entropy, or random ones. `prefix` for `latentseek` and `entropy` for `fork` unless given.
     */
    positions: Type.Optional(
      Type.Union([Type.Literal('prefix'), Type.Literal('entropy'), Type.Literal('random')]),
    ),
    lr: Type.Number({ exclusiveMinimum: 0, default: 0.03 }),
    beta1: Type.Number({ minimum: 0, exclusiveMaximum: 1, default: 0.9 }),
    maxIterations: Type.Integer({ minimum: 0, maximum: 256, default: 10 }),
    /**
     * Number of evaluations (of each rollout) without a rise of the best reward after which the search ends.
     */
    patience: Type.Integer({ minimum: 1, maximum: 256, default: 3 }),
    stopReward: Type.Number({ minimum: -1, maximum: 0, default: -0.2 }),
    admitReward: Type.Number({ minimum: -1, maximum: 0, default: -0.5 }),
    /** Minimum confidence of an answer that may steer others, if a latent reward model is active. */
    admitConfidence: Type.Number({ minimum: 0, maximum: 1, default: 0.25 }),
    samples: Type.Integer({ minimum: 1, maximum: 64, default: 8 }),
    sampling: Sampling,
    beta: Type.Number({ exclusiveMinimum: 0, default: 0.01 }),
    topK: Type.Integer({ minimum: 0, maximum: 64, default: 3 }),
    minSimilarity: Type.Number({ minimum: -1, maximum: 1, default: 0.5 }),
    retrievalTemperature: Type.Number({ exclusiveMinimum: 0, default: 1 }),
    /**
     * Upper bound on the L2 norm of the transferred shift, in units of the norm of z_base; limits the effect
     * of memory.
     */
    maxShift: Type.Number({ exclusiveMinimum: 0, default: 1 }),
    /**
     * Origin of a neighbour's shift. residual: the active weaver's output for its base; paper: the base
     * itself.
     */
    momentum: Type.Union([Type.Literal('residual'), Type.Literal('paper')], { default: 'residual' }),
    /**
     * Positions at which a neighbour's shift counts. agreeing: those up to which its tokens and the draft's are equal,
     * and the answer grows from the first token that changes; all: every position, whatever the tokens, and the answer
     * grows from all of them.
     */
    shifts: Type.Union([Type.Literal('agreeing'), Type.Literal('all')], { default: 'agreeing' }),
    /**
     * full: the draft is judged first, and memory acts only when the draft fails. lazy: the first `latents`
     * tokens of the draft are decoded; if memory leads to other tokens, that answer is judged first, and the
     * draft is completed only when that answer fails.
     */
    draft: Type.Union([Type.Literal('full'), Type.Literal('lazy')], { default: 'full' }),
    /**
     * M. 1: the search moves away from the argmax tokens. More: tokens are sampled at each step, and their
     * rewards relative to each other give the direction.
     */
    rollouts: Type.Integer({ minimum: 1, maximum: 32, default: 1 }),
    rolloutTemperature: Type.Number({ exclusiveMinimum: 0, maximum: 4, default: 1 }),
    marginSteps: Type.Integer({ minimum: 0, maximum: 64, default: 3 }),
    /**
     * Upper bound on the latent thoughts that an episode keeps; 0: none, and no latent reward model learns
     * from it.
     */
    thoughts: Type.Integer({ minimum: 0, maximum: 64, default: 16 }),
    maxNewTokens: Type.Integer({ minimum: 1, maximum: 32_768, default: 1024 }),
    /**
     * Upper bound on the tokens of a thought, after which the service closes it, so that the rest of
     * `maxNewTokens` is left for the answer; no bound unless given.
     */
    maxThoughtTokens: Type.Optional(Type.Integer({ minimum: 1, maximum: 32_768 })),
    /** Budgets by effort (`reasoning_effort`). */
    efforts: Type.Optional(Type.Object(byEffort(Budgets), closed)),
    /**
     * Score by which `best-of-n` chooses a sample while no fused judge is active, and which breaks ties of `majority`. The mean
     * log-probability was better than a model's own verdict on the real models that were measured (docs/benchmarks.md).
     */
    selector: Type.Enum(UNTRAINED_SELECTORS, { default: 'log-probability' }),
    /** What `auto` does after a draft, by effort; without one samples vote, or it searches where `searchPays`. */
    policy: Type.Optional(Policy),
    /**
     * Whether the search was measured to be worth more than samples at as many tokens. Then `auto` keeps to it, and follows no
     * policy of a night: the arms of a night are samples, so that it would weigh them against the draft alone.
     */
    searchPays: Type.Boolean({ default: false }),
    rewardWeights: Type.Object(RewardWeights.properties, { ...closed, default: {} }),
  },
  { ...closed, default: {} },
)

/** Date of templates that write the current one: a date that never changes gives the same tokens every day. */
export const DEFAULT_DATE = '2024-07-26'

const ChatTemplateSettings = Type.Object(
  {
    /** Variables of the chat template, such as `enable_thinking` (`chat_template_kwargs` elsewhere). */
    variables: Type.Record(Type.String(), Type.Unknown(), { default: {} }),
    /** Date that `strftime_now` writes, at midnight. */
    date: Type.String({ format: 'date', default: DEFAULT_DATE }),
  },
  { ...closed, default: {} },
)

/** Recurrences of a depth-recurrent model (docs/onnx-support.md). Other models have none. */
export const RecurrenceProfile = Type.Object(
  {
    /** Recurrences of a request that asks for no number; at most `maxSteps`. */
    steps: Type.Integer({ minimum: 1, maximum: 128 }),
    /** R: upper bound on the recurrences of a request. The core's cache of a token has room for all of them. */
    maxSteps: Type.Integer({ minimum: 1, maximum: 128 }),
    /** Standard deviation of the initial state s_0; up to the bound, every draw stays within the range of float16. */
    stateSigma: Type.Number({ minimum: 0, maximum: 1000 }),
    /**
     * Relative change of the state, ||s_{i+1} - s_i|| / ||s_i||, at or below which adaptive thinking ends the
     * recurrences of a token. Without it, adaptive thinking is refused.
     */
    tolerance: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
  },
  closed,
)

export const ModelProfile = Type.Object(
  {
    $schema: Type.Optional(Type.String()),
    template: ChatTemplateSettings,
    solver: Type.Object(
      {
        system: Type.String(),
        /** User turn; {question} is replaced. */
        template: Type.String({ default: '{question}', pattern: '\\{question\\}' }),
        /** Worked examples: turns between the system turn and those of the caller. */
        examples: Type.Optional(
          Type.Array(
            Type.Object(
              { question: Type.String({ minLength: 1 }), answer: Type.String({ minLength: 1 }) },
              closed,
            ),
            { maxItems: 16 },
          ),
        ),
      },
      closed,
    ),
    judge: Type.Object(
      {
        /**
         * continuation: the prompt is appended to the answer. chat: a conversation with the answer's text.
         * turn: the next turn after the answer's tokens, whose cache it shares.
         */
        mode: Type.Union([Type.Literal('continuation'), Type.Literal('chat'), Type.Literal('turn')]),
        /**
         * logit: P(true) from the logits after the prompt. generate: the judge reasons, then writes a verdict
         * word after `marker`. score: as generate, with a number in [0, 1]. A text without marker, verdict or
         * EOS counts as a failed criterion.
         */
        verdict: Type.Union([Type.Literal('logit'), Type.Literal('generate'), Type.Literal('score')], {
          default: 'logit',
        }),
        /** chat, turn: beginning of the assistant's turn, which the judge continues. */
        prefill: Type.Optional(Type.String({ minLength: 1 })),
        /** generate, score: text directly before the verdict; the last marker in the judge's text counts. */
        marker: Type.Optional(Type.String({ minLength: 1 })),
        /**
         * generate, score: upper bound on the judge's tokens per criterion; the context reserves room for
         * them.
         */
        maxNewTokens: Type.Integer({ minimum: 1, maximum: 32_768, default: 512 }),
        criteria: Type.Array(Criterion, { minItems: 1, maxItems: 16 }),
      },
      closed,
    ),
    answer: Type.Object(
      {
        /** Place of the answer in the text: the last match of `pattern` (group 1), or a known form. */
        pattern: Type.Optional(Type.String({ format: 'regex' })),
        kind: Type.Optional(
          Type.Union([Type.Literal('boxed'), Type.Literal('json'), Type.Literal('number')]),
        ),
        /**
         * Text after whose last occurrence the answer stands; a text without it has no answer. The answer of a
         * model that thinks stands after its thought in any case.
         */
        after: Type.Optional(Type.String({ minLength: 1 })),
        /**
         * Which answers are the same, by what they are (docs/models.md). With `compare`, there are no steps of
         * `normalise`.
         */
        compare: Type.Optional(
          Type.Union([
            Type.Literal('maths'),
            Type.Literal('choice'),
            Type.Literal('json'),
            Type.Literal('text'),
          ]),
        ),
        /**
         * Steps that make equal answers equal strings, in order. All answers are in Unicode's form NFC,
         * without invisible characters, whatever the steps.
         */
        normalise: Type.Array(
          Type.Union([
            Type.Literal('trim'),
            Type.Literal('lowercase'),
            Type.Literal('number'),
            Type.Literal('latex'),
            Type.Literal('fraction'),
            Type.Literal('percent'),
            Type.Literal('choice'),
          ]),
          { default: ['trim'] },
        ),
      },
      closed,
    ),
    format: Type.Object(
      {
        /**
         * Group 1 of both patterns must be equal except for white space: the answer must solve the problem in
         * the question.
         */
        restates: Type.Optional(
          Type.Object(
            { question: Type.String({ format: 'regex' }), reasoning: Type.String({ format: 'regex' }) },
            closed,
          ),
        ),
        /** The answer must end by itself (EOS), not by a token limit. */
        mustEnd: Type.Boolean({ default: true }),
      },
      { ...closed, default: {} },
    ),
    embedding: Type.Object(
      {
        /**
         * last: the state of the last prompt token after the final norm. question: the states of `layer`, averaged
         * over the tokens of the question, without those of templates.
         */
        token: Type.Union([Type.Literal('last'), Type.Literal('question')], { default: 'last' }),
        /** question: layer whose states are averaged; 0: the token embeddings, L: after the final norm. */
        layer: Type.Optional(Type.Integer({ minimum: 0 })),
        /**
         * File of little-endian fp32, `[D]`: the mean of these states over questions; relative to the folder of the
         * profile.
         */
        mean: Type.Union([Type.String(), Type.Null()], { default: null }),
      },
      { ...closed, default: {} },
    ),
    recurrence: Type.Optional(RecurrenceProfile),
    defaults: Defaults,
  },
  closed,
)

/**
 * Version of the rules of `answer.compare` and of the steps of `answer.normalise`. It is part of the rules that each
 * episode names, and, with `compare`, of the judge fingerprint. A change that changes the key of an answer raises it.
 */
export const ANSWER_RULES = 1

export type Sampling = Static<typeof Sampling>
export type RecurrenceProfile = Static<typeof RecurrenceProfile>
export type ModelProfile = Static<typeof ModelProfile>
export type Criterion = Static<typeof Criterion>
export type SolveDefaults = Static<typeof Defaults>
