import { describeQueues } from '../../support/queues-suite.ts'
import { createEmbeddedDatabase } from '../../support/test-database.ts'

describeQueues('the embedded database', createEmbeddedDatabase)
