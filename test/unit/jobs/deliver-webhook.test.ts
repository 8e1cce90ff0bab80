import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { deliverWebhook } from '#jobs'
import { isPublic } from '../../../src/jobs/deliver-webhook.ts'

const received: { headers: IncomingHttpHeaders; body: string; path: string | undefined }[] = []
const server = createServer(async (request, response) => {
  received.push({ headers: request.headers, body: await text(request), path: request.url })
  const status = Number(request.url?.slice(1))
  response.writeHead(status, status === 307 ? { location: '/200' } : {}).end('x'.repeat(100_000))
})
let origin: string
beforeAll(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  origin = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
})
afterAll(() => server.close())
beforeEach(() => {
  received.length = 0
})

const settings = { secret: 'a secret of some length', allowPrivate: true }
const deliver = (url: string, over = {}) =>
  deliverWebhook({ url, id: 'message', body: { answer: 'caf\u00e9' } }, { ...settings, ...over })

test('posts the body, signed', async () => {
  await deliver(`${origin}/200`)
  await deliver(`${origin}/204`, { secret: `whsec_${Buffer.from('raw key').toString('base64')}` })
  for (const [index, key] of [settings.secret, 'raw key'].entries()) {
    const { headers, body } = received[index]!
    expect(JSON.parse(body)).toEqual({ answer: 'caf\u00e9' })
    expect(headers).toMatchObject({ 'content-type': 'application/json', 'webhook-id': 'message' })
    const signed = `message.${headers['webhook-timestamp']}.${body}`
    const signature = createHmac('sha256', key).update(signed).digest('base64')
    expect(headers['webhook-signature']).toBe(`v1,${signature}`)
    expect(Math.abs(Number(headers['webhook-timestamp']) - Date.now() / 1_000)).toBeLessThan(60)
  }
})

test.each([307, 404, 500])('fails for an answer with %i, and follows no redirect', async (status) => {
  await expect(deliver(`${origin}/${status}`)).rejects.toMatchObject({
    code: 'WEBHOOK_FAILED',
    message: `webhook: expected a status of 2xx, got ${status}`,
  })
  expect(received).toHaveLength(1)
})

test('fails when nobody listens', async () => {
  await expect(deliver('http://127.0.0.1:1/')).rejects.toMatchObject({ code: 'WEBHOOK_FAILED' })
})

test('refuses loopback, by address in any notation and by name, unless it is allowed', async () => {
  const port = new URL(origin).port
  for (const host of [
    '127.0.0.1',
    'localhost',
    '[::1]',
    '127.1',
    '2130706433',
    '0x7f.1',
    '[::ffff:127.0.0.1]',
    '0.0.0.0',
  ]) {
    await expect(deliver(`http://${host}:${port}/200`, { allowPrivate: false }), host).rejects.toMatchObject({
      code: 'WEBHOOK_FAILED',
      message: expect.stringContaining('expected an address of the internet'),
    })
  }
  expect(received).toEqual([])
  await deliver(`http://localhost:${port}/200`)
  expect(received).toHaveLength(1)
})

test.each([
  ['93.184.216.34', true],
  ['2606:2800:220:1:248:1893:25c8:1946', true],
  ['10.1.2.3', false],
  ['172.16.0.1', false],
  ['192.168.1.1', false],
  ['100.64.0.1', false],
  ['169.254.169.254', false],
  ['224.0.0.1', false],
  ['255.255.255.255', false],
  ['fe80::1', false],
  ['fd00::1', false],
  ['::', false],
  ['::ffff:10.0.0.1', false],
  ['64:ff9b::a00:1', false],
  ['2002:a00:1::', false],
])('%s is an address of the internet: %s', (address, expected) => {
  expect(isPublic(address)).toBe(expected)
})
