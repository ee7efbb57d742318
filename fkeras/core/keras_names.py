"""Names of Keras (3.15, tf.keras 2 and Keras 1) that fkeras lacks, by namespace: for messages alone.

A name that has come since may stand here: whoever has a thing is not asked for its absence.
"""

LACKING = {
    "": """
        FloatDTypePolicy Function Quantizer RematScope StatelessScope SymbolicScope device remat
    """,
    "applications": """
        ConvNeXtBase ConvNeXtLarge ConvNeXtSmall ConvNeXtTiny ConvNeXtXLarge DenseNet121 DenseNet169 DenseNet201
        EfficientNetB0 EfficientNetB1 EfficientNetB2 EfficientNetB3 EfficientNetB4 EfficientNetB5 EfficientNetB6
        EfficientNetB7 EfficientNetV2B0 EfficientNetV2B1 EfficientNetV2B2 EfficientNetV2B3 EfficientNetV2L
        EfficientNetV2M EfficientNetV2S InceptionResNetV2 InceptionV3 MobileNet MobileNetV2 MobileNetV3Large
        MobileNetV3Small NASNetLarge NASNetMobile RegNetX002 RegNetX004 RegNetX006 RegNetX008 RegNetX016 RegNetX032
        RegNetX040 RegNetX064 RegNetX080 RegNetX120 RegNetX160 RegNetX320 RegNetY002 RegNetY004 RegNetY006 RegNetY008
        RegNetY016 RegNetY032 RegNetY040 RegNetY064 RegNetY080 RegNetY120 RegNetY160 RegNetY320 ResNet101 ResNet101V2
        ResNet152 ResNet152V2 ResNet50 ResNet50V2 ResNetRS101 ResNetRS152 ResNetRS200 ResNetRS270 ResNetRS350
        ResNetRS420 ResNetRS50 VGG16 VGG19 Xception
    """,
    "backend": """
        ctc_label_dense_to_sparse local_conv1d local_conv2d
    """,
    "backend.experimental": """
        disable_tf_random_generator enable_tf_random_generator is_tf_random_generator_enabled
    """,
    "callbacks": """
        BaseLogger OrbaxCheckpoint SidecarEvaluatorModelExport SwapEMAWeights TensorBoard
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
    "distribution": """
        DataParallel DeviceMesh LayoutMap ModelParallel TensorLayout distribute_tensor distribution get_device_count
        initialize list_devices set_distribution
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
        AbstractRNNCell AugMix ContrastLimitedAdaptiveHistogramEqualization DenseFeatures FlaxLayer HashedCrossing
        Hashing Highway IntegerLookup MaxNumBoundingBoxes MaxoutDense MelSpectrogram ParametricSoftplus Pipeline
        RandAugment RandomElasticTransform RandomHeight RandomWidth SReLU STFTSpectrogram SimpleDeepRNN StringLookup
        TFSMLayer TextVectorization TorchModuleWrapper
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
    "mixed_precision": """
        LossScaleOptimizer
    """,
    "models": """
        model_from_config
    """,
    "models.experimental": """
        SharpnessAwareMinimization
    """,
    "quantizers": """
        AWQConfig AbsMaxQuantizer Float8QuantizationConfig GPTQConfig Int4QuantizationConfig Int8QuantizationConfig
        QuantizationConfig Quantizer abs_max_quantize abs_max_quantize_grouped_with_zero_point
        compute_float8_amax_history compute_float8_scale deserialize fake_quant_with_min_max_vars get pack_int4
        quantize_and_dequantize serialize unpack_int4
    """,
    "saving": """
        KerasFileEditor
    """,
    "utils": """
        FeatureSpace GeneratorEnqueuer OrderedEnqueuer SequenceEnqueuer SidecarEvaluator StepsPerExecutionTuner
        TimedThread convert_all_kernels_in_model to_ordinal warmstart_embedding_matrix
    """,
    "utils.bounding_boxes": """
        affine_transform clip_to_image_size compute_ciou compute_iou convert_format crop decode_deltas_to_boxes
        encode_box_to_deltas pad
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
