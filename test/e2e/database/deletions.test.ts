import { describeDeletions } from '../../support/deletions-suite.ts'
import { createEmbeddedDatabase } from '../../support/test-database.ts'

describeDeletions('the embedded database', createEmbeddedDatabase)
