/** @file `circadian.json`, the profile of a model directory: prompts, judge, answer format and measured defaults. */

import { type Static, Type } from 'typebox'

const closed = { additionalProperties: false } as const

const Criterion = Type.Object(
  {
    /** `correctness` is special: stopping and admission also ask P(correctness) >= 0.5. */
    name: Type.String({ minLength: 1 }),
    /** Continuation judge: text appended to the answer. Chat judge: the user turn, with {question} and {answer}. */
    prompt: Type.String({ minLength: 1 }),
    /** Verdict words: logit, those whose first token counts as true, and as false; generate, the words themselves; score, none. */
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

/** Everything has a default but the prompts. Latents, learning rates and thresholds are measured per model. */
const Defaults = Type.Object(
  {
    latents: Type.Integer({ minimum: 1, maximum: 300, default: 15 }),
    rho: Type.Number({ exclusiveMinimum: 0, maximum: 1, default: 0.1 }),
    lr: Type.Number({ exclusiveMinimum: 0, default: 0.03 }),
    beta1: Type.Number({ minimum: 0, exclusiveMaximum: 1, default: 0.9 }),
    maxIterations: Type.Integer({ minimum: 0, maximum: 256, default: 10 }),
    /** Evaluations (of each rollout) without a rise of the best reward before the search gives up. */
    patience: Type.Integer({ minimum: 1, maximum: 256, default: 3 }),
    stopReward: Type.Number({ minimum: -1, maximum: 0, default: -0.2 }),
    admitReward: Type.Number({ minimum: -1, maximum: 0, default: -0.5 }),
    /** Least confidence of an answer that may steer others, where a latent reward model is active. */
    admitConfidence: Type.Number({ minimum: 0, maximum: 1, default: 0.25 }),
    samples: Type.Integer({ minimum: 1, maximum: 64, default: 8 }),
    temperature: Type.Number({ exclusiveMinimum: 0, maximum: 4, default: 1 }),
    beta: Type.Number({ exclusiveMinimum: 0, default: 0.01 }),
    topK: Type.Integer({ minimum: 0, maximum: 64, default: 3 }),
    minSimilarity: Type.Number({ minimum: -1, maximum: 1, default: 0.5 }),
    retrievalTemperature: Type.Number({ exclusiveMinimum: 0, default: 1 }),
    /** Largest L2 norm of the transferred shift, in units of the norm of z_base; caps what memory may do. */
    maxShift: Type.Number({ exclusiveMinimum: 0, default: 1 }),
    /** What a neighbour's shift is measured from: what the active weaver makes of its base, or the base itself (the paper). */
    momentum: Type.Union([Type.Literal('residual'), Type.Literal('paper')], { default: 'residual' }),
    /**
     * full: the draft is judged first, and memory acts only when it fails. lazy: its first `latents` tokens are decoded; where
     * memory leads elsewhere that answer is judged first, and the draft is finished only when it fails.
     */
    draft: Type.Union([Type.Literal('full'), Type.Literal('lazy')], { default: 'full' }),
    /** M: 1 pushes away from the argmax tokens; more are sampled at each step, and pushed by how they compare. */
    rollouts: Type.Integer({ minimum: 1, maximum: 32, default: 1 }),
    rolloutTemperature: Type.Number({ exclusiveMinimum: 0, maximum: 4, default: 1 }),
    marginSteps: Type.Integer({ minimum: 0, maximum: 64, default: 3 }),
    /** Most latent thoughts that an episode keeps; 0: none, and no latent reward model learns from it. */
    thoughts: Type.Integer({ minimum: 0, maximum: 64, default: 16 }),
    maxNewTokens: Type.Integer({ minimum: 1, maximum: 32_768, default: 1024 }),
    rewardWeights: Type.Object(RewardWeights.properties, { ...closed, default: {} }),
  },
  { ...closed, default: {} },
)

export const ModelProfile = Type.Object(
  {
    $schema: Type.Optional(Type.String()),
    solver: Type.Object(
      {
        system: Type.String(),
        /** The user turn; {question} is replaced. */
        template: Type.String({ default: '{question}', pattern: '\\{question\\}' }),
      },
      closed,
    ),
    judge: Type.Object(
      {
        mode: Type.Union([Type.Literal('continuation'), Type.Literal('chat')]),
        /**
         * logit: P(true) from the logits after the prompt. generate: the judge reasons, then says a verdict word behind `marker`.
         * score: the same with a number in [0, 1]. What it wrote says nothing without marker, verdict and EOS: the criterion failed.
         */
        verdict: Type.Union([Type.Literal('logit'), Type.Literal('generate'), Type.Literal('score')], {
          default: 'logit',
        }),
        /** generate, score: what stands right before the verdict; the last one that the judge wrote counts. */
        marker: Type.Optional(Type.String({ minLength: 1 })),
        /** generate, score: most tokens that the judge writes about one criterion; the context keeps room for them. */
        maxNewTokens: Type.Integer({ minimum: 1, maximum: 32_768, default: 512 }),
        criteria: Type.Array(Criterion, { minItems: 1, maxItems: 16 }),
      },
      closed,
    ),
    answer: Type.Object(
      {
        /** Where the answer stands in the text: the last match of `pattern` (group 1), or a known form. */
        pattern: Type.Optional(Type.String({ format: 'regex' })),
        kind: Type.Optional(
          Type.Union([Type.Literal('boxed'), Type.Literal('json'), Type.Literal('number')]),
        ),
        normalise: Type.Array(
          Type.Union([Type.Literal('trim'), Type.Literal('lowercase'), Type.Literal('number')]),
          { default: ['trim'] },
        ),
      },
      closed,
    ),
    format: Type.Object(
      {
        /** Group 1 of both patterns must be equal but for white space: the answer solves the problem asked. */
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
        token: Type.Union([Type.Literal('last'), Type.Literal('mean')], { default: 'last' }),
        /** File of little-endian fp32, `[D]`, measured on training prompts; relative to the model directory. */
        mean: Type.Union([Type.String(), Type.Null()], { default: null }),
      },
      { ...closed, default: {} },
    ),
    defaults: Defaults,
  },
  closed,
)

export type ModelProfile = Static<typeof ModelProfile>
export type Criterion = Static<typeof Criterion>
export type SolveDefaults = Static<typeof Defaults>
