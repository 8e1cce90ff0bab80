import { describeKeyStore } from '../../support/key-store-suite.ts'
import { createEmbeddedDatabase } from '../../support/test-database.ts'

describeKeyStore('the embedded database', createEmbeddedDatabase)
