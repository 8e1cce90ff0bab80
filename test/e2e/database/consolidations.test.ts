import { describeConsolidations } from '../../support/consolidations-suite.ts'
import { createEmbeddedDatabase } from '../../support/test-database.ts'

describeConsolidations('the embedded database', createEmbeddedDatabase)
