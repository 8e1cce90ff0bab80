/** @file `GET /v1/models`: the strategies as models, for clients of OpenAI's API. */

import { Type } from 'typebox'
import { modelNames, strategyOf } from '../openai/model-names.ts'
import { json, openAiErrors } from '../responses.ts'
import { Model, ModelList } from '../schemas/openai.ts'
import { missing } from '../schemas/path-ids.ts'
import type { App } from '../type-provider.ts'

const DESCRIPTION =
  'A name is `circadian/` and a strategy; the id of the model alone means the default strategy. Errors of all operations under `/v1` have OpenAI’s envelope.'

export function modelRoutes(app: App, modelId: string): void {
  const created = Math.floor(Date.now() / 1000)
  const describe = (id: string) => ({ id, object: 'model' as const, created, owned_by: 'circadian' })

  app.get(
    '/v1/models',
    {
      config: { scope: 'solve' },
      schema: {
        operationId: 'listModels',
        summary: 'List the names of models',
        description: DESCRIPTION,
        tags: ['openai'],
        response: { 200: json('All names.', ModelList), ...openAiErrors() },
      },
    },
    async () => ({ object: 'list' as const, data: [...modelNames(modelId).keys()].map(describe) }),
  )

  const response = { 200: json('The name exists.', Model), ...openAiErrors(404) }
  const find = (name: string) => {
    strategyOf(name, modelId)
    return describe(name)
  }

  app.get(
    '/v1/models/:model',
    {
      config: { scope: 'solve' },
      schema: {
        operationId: 'getModel',
        summary: 'Get one name of a model',
        tags: ['openai'],
        params: Type.Object(
          { model: Type.String({ description: 'The name, its slash written as `/` or `%2F`.' }) },
          missing('MODEL_NOT_FOUND'),
        ),
        response,
      },
    },
    async ({ params: { model } }) => find(model),
  )

  // A parameter of a path has no slash: names that are not encoded.
  app.get<{ Params: { '*': string } }>(
    '/v1/models/*',
    { config: { scope: 'solve' }, schema: { hide: true, response } },
    async ({ params: { '*': name } }) => find(name),
  )
}
