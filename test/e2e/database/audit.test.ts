import { describeAudit } from '../../support/audit-suite.ts'
import { createEmbeddedDatabase } from '../../support/test-database.ts'

describeAudit('the embedded database', createEmbeddedDatabase)
