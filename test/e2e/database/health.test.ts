import { describeHealth } from '../../support/health-suite.ts'
import { createEmbeddedDatabase } from '../../support/test-database.ts'

describeHealth('the embedded database', createEmbeddedDatabase)
