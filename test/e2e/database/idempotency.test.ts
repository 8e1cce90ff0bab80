import { describeIdempotency } from '../../support/idempotency-suite.ts'
import { createEmbeddedDatabase } from '../../support/test-database.ts'

describeIdempotency('the embedded database', createEmbeddedDatabase)
