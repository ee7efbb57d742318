"""Names of Keras (3.15, tf.keras 2 and Keras 1) that fkeras lacks, by namespace: for messages alone.

A test holds that each of them is missing.
"""

LACKING = {
    "": """
        Quantizer SymbolicScope
    """,
    "applications": """
        RegNetX002 RegNetX004 RegNetX006 RegNetX008 RegNetX016 RegNetX032 RegNetX040 RegNetX064 RegNetX080
        RegNetX120 RegNetX160 RegNetX320 RegNetY002 RegNetY004 RegNetY006 RegNetY008 RegNetY016 RegNetY032
        RegNetY040 RegNetY064 RegNetY080 RegNetY120 RegNetY160 RegNetY320 ResNetRS101 ResNetRS152 ResNetRS200
        ResNetRS270 ResNetRS350 ResNetRS420 ResNetRS50
    """,
    "backend": """
        ctc_label_dense_to_sparse local_conv1d local_conv2d
    """,
    "backend.experimental": """
        disable_tf_random_generator enable_tf_random_generator is_tf_random_generator_enabled
    """,
    "callbacks": """
        BaseLogger OrbaxCheckpoint SidecarEvaluatorModelExport
    """,
    "callbacks.experimental": """
        UpdateEmbeddingCallback
    """,
    "config": """
        set_backend
    """,
    "constraints": """
        RadialConstraint radial_constraint
    """,
    "distillation": """
        DistillationLoss Distiller FeatureDistillation LogitsDistillation
    """,
    "dtype_policies": """
        AWQDTypePolicy GPTQDTypePolicy Int4DTypePolicy QuantizedDTypePolicy QuantizedFloat8DTypePolicy
    """,
    "estimator": """
        model_to_estimator
    """,
    "experimental": """
        LinearModel SequenceFeatures SidecarEvaluator WideDeepModel
    """,
    "export": """
        ExportArchive
    """,
    "layers": """
        AbstractRNNCell CategoryCrossing DenseFeatures ParametricSoftplus SReLU SimpleDeepRNN
        TFSMLayer TorchModuleWrapper
    """,
    "layers.experimental": """
        DynamicEmbedding DynamicLookup RandomFourierFeatures
    """,
    "metrics": """
        MeanRelativeError MeanTensor
    """,
    "metrics.experimental": """
        PyMetric
    """,
    "models.experimental": """
        SharpnessAwareMinimization
    """,
    "quantizers": """
        AWQConfig AbsMaxQuantizer Float8QuantizationConfig GPTQConfig Int4QuantizationConfig
        Int8QuantizationConfig QuantizationConfig Quantizer abs_max_quantize
        abs_max_quantize_grouped_with_zero_point compute_float8_amax_history compute_float8_scale deserialize
        fake_quant_with_min_max_vars get pack_int4 quantize_and_dequantize serialize unpack_int4
    """,
    "saving": """
        KerasFileEditor
    """,
    "utils": """
        FeatureSpace SidecarEvaluator StepsPerExecutionTuner TimedThread to_ordinal warmstart_embedding_matrix
    """,
    "utils.experimental": """
        DatasetCreator
    """,
}


def lacking(namespace, name):
    """Returns " Keras has it; fkeras does not." where that is so, for a message, or an empty string.

    Args:
        namespace: Path within Keras: "layers", "" for the package itself.

    Example:
        >>> lacking("quantizers", "AbsMaxQuantizer")
        ' Keras has it; fkeras does not.'
    """
    known = name in LACKING.get(namespace, "").split() or (name and f"{namespace}.{name}".strip(".") in LACKING)
    return " Keras has it; fkeras does not." if known else ""
