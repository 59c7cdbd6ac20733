"""What runs an exported model: TensorFlow, LiteRT, ONNX Runtime, OpenVINO, TensorRT."""
