import { describeConsolidationTriggers } from '../../support/consolidation-triggers-suite.ts'
import { createEmbeddedDatabase } from '../../support/test-database.ts'

describeConsolidationTriggers('the embedded database', createEmbeddedDatabase)
