import { describeNightTriggers } from '../../support/night-triggers-suite.ts'
import { createEmbeddedDatabase } from '../../support/test-database.ts'

describeNightTriggers('the embedded database', createEmbeddedDatabase)
