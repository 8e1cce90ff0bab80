/**
 * @file Switches off the telemetry of ONNX Runtime; must be evaluated before onnxruntime-node, which reads
 * the variable when it loads its library. Without it, release 1.30 writes a device id and a queue of events
 * below the home directory and sends them to Microsoft.
 */

import { env } from 'node:process'

env['ORT_DISABLE_TELEMETRY'] = '1'
