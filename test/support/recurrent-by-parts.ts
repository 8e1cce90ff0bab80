/** @file Reference of a depth-recurrent model: one row, one token and one recurrence at a time, over the three exports. */

import { InferenceSession, Tensor } from 'onnxruntime-node'
import { argmax } from '#tensor'

/** Keys and values of one layer and kind, `[1, K, T, h]`, by recurrence in the core. */
type Caches = Tensor[]

export interface FedToken {
  readonly token: number
  /** s_0, `[D]`. */
  readonly noise: Float32Array
  /** Number of recurrences, or the tolerance at which they end. */
  readonly steps: number
  readonly tolerance?: number
}

interface FedState {
  readonly logits: Float32Array
  /** s_1 to s_n. */
  readonly states: Float32Array[]
}

export interface PartsReference {
  /** Feeds a token after all earlier ones. */
  feed(token: FedToken): Promise<FedState>
  /** Feeds tokens, then each most likely one, and returns those. `later[i]` feeds the i-th of them. */
  decode(
    prompt: readonly FedToken[],
    later: readonly Omit<FedToken, 'token'>[],
  ): Promise<{ tokens: number[]; fed: FedState[] }>
}

/** @param parts prelude, core, coda as files */
export async function recurrentByParts(
  parts: readonly Uint8Array[],
  { maxSteps }: { readonly maxSteps: number },
): Promise<PartsReference> {
  const [prelude, core, coda] = (await Promise.all(
    parts.map((part) => InferenceSession.create(part, { intraOpNumThreads: 1 })),
  )) as [InferenceSession, InferenceSession, InferenceSession]
  const empty = (session: InferenceSession): Caches =>
    session.inputMetadata.flatMap((input) => {
      if (!input.name.startsWith('past_key_values.') || !input.isTensor) return []
      const [, heads, , size] = input.shape as number[]
      return [new Tensor('float32', new Float32Array(), [1, heads!, 0, size!])]
    })
  const caches = {
    prelude: empty(prelude),
    core: Array.from({ length: maxSteps }, () => empty(core)),
    coda: empty(coda),
  }
  let length = 0

  async function run(session: InferenceSession, own: Record<string, Tensor>, past: Caches) {
    const names = session.inputNames.filter((name) => name.startsWith('past_key_values.'))
    const feeds: Record<string, Tensor> = {
      ...own,
      attention_mask: new Tensor('int64', new BigInt64Array(length + 1).fill(1n), [1, length + 1]),
      position_ids: new Tensor('int64', BigInt64Array.of(BigInt(length)), [1, 1]),
      ...Object.fromEntries(names.map((name, i) => [name, past[i]!])),
    }
    const known = Object.entries(feeds).filter(([name]) => session.inputNames.includes(name))
    const results = await session.run(Object.fromEntries(known))
    const present = names.map((name) => results[name.replace('past_key_values', 'present')]!)
    return { results, present }
  }

  async function feed({ token, noise, steps, tolerance = -1 }: FedToken): Promise<FedState> {
    const ids = new Tensor('int64', BigInt64Array.of(BigInt(token)), [1, 1])
    const first = await run(prelude, { input_ids: ids }, caches.prelude)
    caches.prelude = first.present
    const embedded = first.results['embedded']!
    const states: Float32Array[] = []
    let state = noise
    let added: Caches = []
    for (let i = 0; i < steps; i++) {
      const fed = new Tensor('float32', state, [1, 1, state.length])
      const { results, present } = await run(core, { state: fed, embedded }, caches.core[i]!)
      caches.core[i] = present
      added = present.map(lastPosition)
      const next = results['next_state']!.data as Float32Array
      const change = norm(next.map((x, d) => x - state[d]!)) / norm(state)
      states.push(next)
      state = next
      if (change <= tolerance) break
    }
    for (let i = states.length; i < maxSteps; i++) {
      caches.core[i] = caches.core[i]!.map((cache, index) => appended(cache, added[index]!))
    }
    const end = await run(coda, { state: new Tensor('float32', state, [1, 1, state.length]) }, caches.coda)
    caches.coda = end.present
    length += 1
    return { logits: end.results['logits']!.data as Float32Array, states }
  }

  return {
    feed,
    async decode(prompt, later) {
      const fed: FedState[] = []
      for (const token of prompt) fed.push(await feed(token))
      const tokens = [argmax(fed.at(-1)!.logits)]
      for (const rest of later) {
        fed.push(await feed({ token: tokens.at(-1)!, ...rest }))
        tokens.push(argmax(fed.at(-1)!.logits))
      }
      return { tokens, fed }
    },
  }
}

function norm(x: Float32Array): number {
  return Math.sqrt(x.reduce((sum, value) => sum + value * value, 0))
}

/** Returns the last position of `[1, K, T, h]`. */
function lastPosition({ data, dims }: Tensor): Tensor {
  const [, heads, length, size] = dims as [number, number, number, number]
  const all = data as Float32Array
  const parts = Array.from({ length: heads }, (_, head) => {
    const from = (head * length + length - 1) * size
    return [...all.subarray(from, from + size)]
  })
  return new Tensor('float32', Float32Array.from(parts.flat()), [1, heads, 1, size])
}

function appended({ data, dims }: Tensor, added: Tensor): Tensor {
  const [, heads, length, size] = dims as [number, number, number, number]
  const out = new Float32Array(heads * (length + 1) * size)
  for (let head = 0; head < heads; head++) {
    const from = head * length * size
    out.set((data as Float32Array).subarray(from, from + length * size), head * (length + 1) * size)
    const last = (added.data as Float32Array).subarray(head * size, (head + 1) * size)
    out.set(last, (head * (length + 1) + length) * size)
  }
  return new Tensor('float32', out, [1, heads, length + 1, size])
}
