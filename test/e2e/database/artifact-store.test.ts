import { describeArtifactStore } from '../../support/artifact-store-suite.ts'
import { createEmbeddedDatabase } from '../../support/test-database.ts'

describeArtifactStore('the embedded database', createEmbeddedDatabase)
