const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Whether Postgres would take `text` for a `uuid`, written the usual way: anything else names no row. */
export function isUuid(text: string): boolean {
  return UUID.test(text)
}
