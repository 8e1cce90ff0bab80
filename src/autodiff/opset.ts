/** Version of the ai.onnx operator set in which gradients and training steps are written: the first with Gelu. */
export const OPSET = 20
