/** @file Schema of the body of `POST /solve`. */

import { type TSchema, Type } from 'typebox'
import type * as solving from '#solving'
import { SELECTORS, STRATEGIES, VOTE_WEIGHTS } from '#solving'
import { closed, OneOf, Seed, Text } from './primitives.ts'
import { ref } from './ref.ts'
import { sameAs } from './same-as.ts'

/** Defaults of a request. The defaults of all other fields come from the model profile. */
export const SOLVE_DEFAULTS = { strategy: 'auto', learn: true, explain: false } as const

export const Strategy = OneOf(STRATEGIES, {
  $id: 'Strategy',
  description:
    'Strategy of the search for a better answer. `greedy` returns the draft. `latentseek` optimises the latents of the draft. `majority` samples answers and takes a vote, which `weights` may weigh; the score that the model profile names breaks ties, by default the mean log-probability. `best-of-n` samples answers and returns the one with the highest score by `selector`. `lto` samples answers and draws one of them by the confidence of the latent reward model in each; before such a model is trained, it uses the confidence of the verifier, and `degraded` contains `lrm`. `fork` puts other likely tokens at the least certain places of the draft, completes these branches and takes the answer of the highest reward, or of the highest P(correct) once there is a fused judge. `auto`, the default, decodes a draft and follows where similar episodes lead; then it does what was measured to pay for this model (`policy` of the answer). Where nothing was measured, it searches if the model profile says that searches pay, else takes a vote of draft and samples, in rounds until three of them agree.',
})

/**
 * Matches weights that are all 0. Omitted weights come from the profile, so only all three together can sum
 * to 0.
 */
const ALL_ZERO = {
  properties: { verifier: { const: 0 }, lrm: { const: 0 }, format: { const: 0 } },
  required: ['verifier', 'lrm', 'format'],
}

/**
 * `solving.SolveRequest` as callers send it: without a tenant, without the fields that only `/v1` has and the one of
 * measurements, and with defaults optional.
 */
type Body = Omit<
  solving.SolveRequest,
  'tenantId' | 'context' | 'stop' | 'effort' | 'keepDraft' | keyof typeof SOLVE_DEFAULTS
> &
  Partial<Pick<solving.SolveRequest, keyof typeof SOLVE_DEFAULTS>>

/** Address that gets the answer, with `Prefer: respond-async`. */
interface WithWebhook {
  readonly webhook?: string
}

export const SolveRequest = sameAs<Body & WithWebhook>()(
  Type.Object(
    {
      question: Text({
        minLength: 1,
        maxLength: 16_384,
        description:
          'The problem to solve, without control characters except tab and line breaks. Must fit the context of the model together with the prompt.',
      }),
      strategy: Type.Optional(ref(Strategy)),
      samples: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 64,
          description:
            'Number of samples of `majority`, `lto` and `best-of-n`, and the most branches of `fork` and samples of `auto`. Default: from the model profile.',
        }),
      ),
      selector: Type.Optional(
        OneOf(SELECTORS, {
          description:
            'Score by which `best-of-n` chooses among the samples that have an answer. `verifier`: the model’s own verdict. `log-probability`, `self-certainty`: means over the tokens of the sample under the model’s own distribution. `reward`: the weighted reward of the answer. `lrm`: the latent reward model. `judge`: P(correct) by the fused judge; before a night has trained one, the reward, and `degraded` contains `judge`. Default: `judge` once a night has trained one; before that `reward` for a request with `reward`, else the selector of the model profile, which is `log-probability` unless it names another.',
        }),
      ),
      weights: Type.Optional(
        OneOf(VOTE_WEIGHTS, {
          description:
            'Weights of the votes of `majority`: `none`, the default, or P(correct) by the latent reward model (`lrm`) or the fused judge (`judge`), with the same fallbacks as `selector`.',
        }),
      ),
      sampling: Type.Optional(
        Type.Object(
          {
            temperature: Type.Optional(
              Type.Number({
                minimum: 0.01,
                maximum: 4,
                description: 'Temperature: below 1, likely tokens become more likely.',
              }),
            ),
            topK: Type.Optional(
              Type.Integer({
                minimum: 0,
                maximum: 128,
                description:
                  'Number of most likely tokens that each token is drawn from. 0: no rule; a vocabulary of more than 128 tokens is still cut to the 128 most likely.',
              }),
            ),
            topP: Type.Optional(
              Type.Number({
                exclusiveMinimum: 0,
                maximum: 1,
                description:
                  'Each token is drawn from the most likely ones whose probabilities first sum up to this number. 1: no rule.',
              }),
            ),
            minP: Type.Optional(
              Type.Number({
                minimum: 0,
                maximum: 1,
                description:
                  'Least probability of a token, as a share of that of the most likely token. 0: no rule.',
              }),
            ),
            repetitionPenalty: Type.Optional(
              Type.Number({
                minimum: 0.1,
                maximum: 10,
                description:
                  'Positive logits of tokens that stand in the prompt or the answer are divided by this number, and negative ones multiplied. 1: no rule.',
              }),
            ),
          },
          {
            ...closed,
            title: 'SamplingOptions',
            description:
              'Sampling of `majority`, `lto` and `best-of-n`, with the rules of transformers in its order: repetition penalty, temperature, top-k, top-p, min-p. The same seed and sampling give the same samples. Default of each field: from the model profile, else from the `generation_config.json` of the model, else no rule and temperature 1.',
          },
        ),
      ),
      thinking: Type.Optional(
        Type.Union(
          [
            Type.Object(
              {
                steps: Type.Integer({
                  minimum: 1,
                  maximum: 128,
                  description:
                    'Number of recurrences of the core for every token of prompt and answer: from 1 to the limit of the model profile.',
                }),
              },
              { ...closed, title: 'ThinkingSteps' },
            ),
            Type.Literal('adaptive'),
          ],
          {
            description:
              'How long a depth-recurrent model thinks about each token. `adaptive`: a token of the answer stops when its state has converged, after at most as many recurrences as the model profile sets. Other models refuse it. Default: the number of the model profile.',
          },
        ),
      ),
      budget: Type.Optional(
        Type.Object(
          {
            maxIterations: Type.Optional(
              Type.Integer({
                minimum: 0,
                maximum: 256,
                description: 'Maximum number of updates of the latents, and of rounds of `fork`.',
              }),
            ),
            maxNewTokens: Type.Optional(
              Type.Integer({
                minimum: 1,
                maximum: 32_768,
                description:
                  'Maximum number of tokens that are decoded for the request, and so of one answer. Samples share it evenly: 8 samples of 100 tokens need 800. Default: no maximum for the request; that of one answer from the model profile.',
              }),
            ),
            maxAnswerTokens: Type.Optional(
              Type.Integer({
                minimum: 1,
                maximum: 32_768,
                description:
                  'Maximum number of tokens of one answer. Default: `maxNewTokens`, else from the model profile.',
              }),
            ),
            maxSearchTokens: Type.Optional(
              Type.Integer({
                minimum: 0,
                maximum: 1_048_576,
                description:
                  'Maximum number of tokens that are decoded beside the returned answer. A search begins only if the draft is no longer than this. Default: no maximum.',
              }),
            ),
            maxMs: Type.Optional(
              Type.Integer({
                minimum: 1,
                maximum: 600_000,
                description:
                  'Maximum time, in ms, including the time in the queue. At its end nothing new is decoded or judged, and the best judged answer is returned; else the choice among the finished samples, or the part of an answer that is decoded, with reward -1; else `answer: null`. A run of the model that is in progress ends first, usually within 0.15 s; it is waited for at most a second beyond its expected end. Default: the setting `SOLVE_MAX_MS` of the server, which is 120000 unless the operator changed it.',
              }),
            ),
          },
          {
            ...closed,
            description:
              'Hard limits. When one is reached, the best answer so far is returned. Default: from the model profile.',
          },
        ),
      ),
      retrieval: Type.Optional(
        Type.Union(
          [
            Type.Object(
              {
                topK: Type.Optional(
                  Type.Integer({
                    minimum: 0,
                    maximum: 64,
                    description: 'Maximum number of episodes to retrieve.',
                  }),
                ),
                minSimilarity: Type.Optional(
                  Type.Number({
                    minimum: -1,
                    maximum: 1,
                    description: 'Cosine similarity below which an episode is not used.',
                  }),
                ),
              },
              { ...closed, title: 'RetrievalOptions' },
            ),
            Type.Literal(false),
          ],
          {
            description:
              'Options of retrieval, used by `auto`; `false` switches memory off: no episode leads `auto`, and no strategy leaves out answers that callers have called wrong. Default: from the model profile.',
          },
        ),
      ),
      weaver: Type.Optional(
        Type.Boolean({
          default: true,
          description: 'Whether to use the active latent weaver, if there is one. Used by `auto`.',
        }),
      ),
      direction: Type.Optional(
        OneOf(['gradient', 'random'], {
          description:
            'Direction of every update of the search of `latentseek` and `auto`. `random` is the control of a measurement: steps of the same length in a random direction, with the same choice of answers and the same stop. Default: from the model profile.',
        }),
      ),
      positions: Type.Optional(
        OneOf(['prefix', 'entropy', 'random'], {
          description:
            'Places of the draft at which `fork` branches and at which the latents of `latentseek` begin: `prefix`, its first tokens; `entropy`, those of highest entropy; `random`, the control of a measurement. Default: from the model profile, else `entropy` for `fork` and `prefix` for `latentseek`.',
        }),
      ),
      reward: Type.Optional(
        Type.Object(
          {
            verifier: Type.Optional(Weight('Weight of the model’s own verdict on the answer.')),
            lrm: Type.Optional(Weight('Weight of the latent reward model.')),
            format: Type.Optional(Weight('Weight of the format rules.')),
          },
          {
            ...closed,
            not: ALL_ZERO,
            description:
              'Weights of the terms of the reward, normalised; not all 0. They steer the search of this request and its response; its episode is admitted and stored under the weights of the model profile. Default: from the model profile.',
          },
        ),
      ),
      reference: Type.Optional(
        Text({
          minLength: 1,
          maxLength: 1024,
          description:
            'A known answer, stored as the label of the episode. It is never shown to the model and never used to choose the answer.',
        }),
      ),
      learn: Type.Optional(
        Type.Boolean({
          default: SOLVE_DEFAULTS.learn,
          description: 'Whether to store the request as an episode. If `false`, nothing is stored.',
        }),
      ),
      seed: Type.Optional({
        ...Seed,
        description:
          'Seed of the random numbers. On the CPU, the same seed, versions and episodes give the same tokens, except with int4 models of `accuracy_level` 4, where near ties may fall differently while other requests run. Default: a random seed, returned in the response.',
      }),
      explain: Type.Optional(
        Type.Boolean({
          default: SOLVE_DEFAULTS.explain,
          description: 'Whether to add `candidates` and `latents` to the response.',
        }),
      ),
      webhook: Type.Optional(
        Type.String({
          pattern: '^https?://[^\\s@]+$',
          maxLength: 2048,
          description:
            'Only with `Prefer: respond-async`: URL to which the server posts the outcome, as `GET /solutions/{id}` returns it. Signed as Standard Webhooks describes, with the secret of the server; repeated with growing pauses until the status is 2xx, six times at most. Redirects are not followed. Addresses of loopback and private networks are refused.',
        }),
      ),
    },
    {
      ...closed,
      $id: 'SolveRequest',
      description:
        'A question and how to solve it. `samples`, `sampling`, `selector` and `weights` are refused with a strategy that does not read them (`auto` reads them where it samples, and a `selector` where its policy chooses among samples and names none). Other fields that the strategy does not use are ignored.',
      examples: [{ question: 'Eve at the till: 6 + 4 * 7 - 4 - 5 = ?' }],
    },
  ),
)

/** Paths of all settings of a request: `['samples']`, `['sampling', 'temperature']`. */
export const SOLVE_SETTINGS: readonly (readonly string[])[] = Object.entries<TSchema>(SolveRequest.properties)
  .filter(([name]) => name !== 'webhook')
  .flatMap(([name, schema]) => [[name], ...fieldsOf(schema).map((field) => [name, field])])

function fieldsOf(schema: TSchema): string[] {
  if (Type.IsUnion(schema)) return schema.anyOf.flatMap(fieldsOf)
  return Type.IsObject(schema) ? Object.keys(schema.properties) : []
}

function Weight(description: string) {
  return Type.Number({ minimum: 0, maximum: 1_000_000, description })
}
