import { type Database, query } from '#database'

/** Bytes of one statement: a driver receives them as text twice as long, and decodes that on the event loop. */
const PIECE_BYTES = 2 ** 21

const SQL = `
  select substring(bytes from $2 for ${PIECE_BYTES}) as piece, octet_length(bytes) as size, sha256
  from artifacts where id = $1`

interface Row {
  readonly piece: Buffer | null
  readonly size: number | null
  readonly sha256: string
}

/**
 * Reads the stored bytes piece by piece, and hands each to `observe`. The bytes are null when retention has
 * deleted them. Returns null when there is no such artifact.
 */
export async function artifactBytes(
  database: Pick<Database, 'pool'>,
  id: string,
  observe: (piece: Uint8Array) => void,
): Promise<{ readonly bytes: Uint8Array | null; readonly sha256: string } | null> {
  let bytes: Uint8Array | null = null
  for (let end = 0; ; ) {
    const { rows } = await query<Row>(database, 'read artifact', SQL, [id, end + 1])
    if (rows[0] === undefined) return null
    const { piece, size, sha256 } = rows[0]
    if (piece === null || size === null) return { bytes: null, sha256 }
    bytes ??= new Uint8Array(size)
    bytes.set(piece, end)
    observe(piece)
    end += piece.length
    if (end >= bytes.length || piece.length === 0) return { bytes, sha256 }
  }
}
