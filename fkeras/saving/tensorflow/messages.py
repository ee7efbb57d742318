"""TensorFlow's messages that SavedModels and checkpoints are made of, with the fields that are written or read here."""

from fkeras.core.tensors import SHAPE, TENSOR
from fkeras.core.wire import Message

# ---------------------------------------------------------------------------------- the computation

ATTR = Message("AttrValue")
_FUNC = Message("NameAttrList", name=(1, str), attr=(2, {str: ATTR}))
_LIST = Message("ListValue", s=(2, [bytes]), i=(3, [int]), f=(4, [float]), b=(5, [bool]), type=(6, [int]),
                shape=(7, [SHAPE]), func=(9, [_FUNC]))  # fmt: skip
ATTR.declare(list=(1, _LIST), s=(2, bytes), i=(3, int), f=(4, float), b=(5, bool), type=(6, int), shape=(7, SHAPE),
             tensor=(8, TENSOR), func=(10, _FUNC))  # fmt: skip
NODE = Message("NodeDef", name=(1, str), op=(2, str), input=(3, [str]), device=(4, str), attr=(5, {str: ATTR}))
_ARG = Message("ArgDef", name=(1, str), type=(3, int))
_OP = Message("OpDef", name=(1, str), input_arg=(2, [_ARG]), output_arg=(3, [_ARG]), is_stateful=(17, bool),
              control_output=(20, [str]))  # fmt: skip
_ARG_ATTRS = Message("ArgAttrs", attr=(1, {str: ATTR}))
FUNCTION = Message("FunctionDef", signature=(1, _OP), node_def=(3, [NODE]), ret=(4, {str: str}), attr=(5, {str: ATTR}),
                   control_ret=(6, {str: str}), arg_attr=(7, {int: _ARG_ATTRS}))  # fmt: skip
_VERSIONS = Message("VersionDef", producer=(1, int), min_consumer=(2, int))
GRAPH = Message("GraphDef", node=(1, [NODE]), library=(2, Message("Library", function=(1, [FUNCTION]))),
                versions=(4, _VERSIONS))  # fmt: skip

# -------------------------------------------------------------------------------- the object graphs

VALUE = Message("StructuredValue")
_SPEC = Message("TensorSpecProto", name=(1, str), shape=(2, SHAPE), dtype=(3, int))
_SEQUENCE = Message("ListValue", values=(1, [VALUE]))
_PAIR = Message("PairValue", key=(1, str), value=(2, VALUE))
VALUE.declare(
    none_value=(1, Message("NoneValue")), int64_value=(12, "sint"), string_value=(13, str), bool_value=(14, bool),
    tensor_spec_value=(33, _SPEC), list_value=(51, _SEQUENCE), tuple_value=(52, _SEQUENCE),
    dict_value=(53, Message("DictValue", fields=(1, {str: VALUE}))),
    named_tuple_value=(54, Message("NamedTupleValue", name=(1, str), values=(2, [_PAIR]))),
)  # fmt: skip
_REFERENCE = Message("ObjectReference", node_id=(1, int), local_name=(2, str))
_SAVED_VARIABLE = Message("SavedVariable", dtype=(1, int), shape=(2, SHAPE), trainable=(3, bool), name=(6, str))
_FUNCTION_SPEC = Message("FunctionSpec", fullargspec=(1, VALUE), is_method=(2, bool), input_signature=(5, VALUE))
_SAVED_OBJECT = Message(
    "SavedObject",
    children=(1, [_REFERENCE]),
    user_object=(4, Message("SavedUserObject", identifier=(1, str), version=(2, _VERSIONS))),
    function=(6, Message("SavedFunction", concrete_functions=(1, [str]), function_spec=(2, _FUNCTION_SPEC))),
    variable=(7, _SAVED_VARIABLE),
    bare_concrete_function=(8, Message("SavedBareConcreteFunction", concrete_function_name=(1, str),
                                       argument_keywords=(2, [str]), allowed_positional_arguments=(3, int))),
)  # fmt: skip
_CONCRETE = Message("SavedConcreteFunction", bound_inputs=(2, [int]), canonicalized_input_signature=(3, VALUE),
                    output_signature=(4, VALUE))  # fmt: skip
OBJECTS = Message("SavedObjectGraph", nodes=(1, [_SAVED_OBJECT]), concrete_functions=(2, {str: _CONCRETE}))

_STORED = Message("SerializedTensor", name=(1, str), full_name=(2, str), checkpoint_key=(3, str))
_SLOT = Message("SlotVariableReference", original_variable_node_id=(1, int), slot_name=(2, str),
                slot_variable_node_id=(3, int))  # fmt: skip
TRACKED = Message(
    "TrackableObjectGraph",
    nodes=(1, [Message("TrackableObject", children=(1, [_REFERENCE]), attributes=(2, [_STORED]),
                       slot_variables=(3, [_SLOT]))]),
)  # fmt: skip

# ---------------------------------------------------------------------------------- the SavedModel

_TENSOR_INFO = Message("TensorInfo", name=(1, str), dtype=(2, int), tensor_shape=(3, SHAPE))
_SIGNATURE = Message("SignatureDef", inputs=(1, {str: _TENSOR_INFO}), outputs=(2, {str: _TENSOR_INFO}),
                     method_name=(3, str))  # fmt: skip
_SAVER = Message("SaverDef", filename_tensor_name=(1, str), save_tensor_name=(2, str), restore_op_name=(3, str),
                 max_to_keep=(4, int), version=(7, int))  # fmt: skip
_META_INFO = Message("MetaInfoDef", tags=(4, [str]), tensorflow_version=(5, str))
_META_GRAPH = Message("MetaGraphDef", meta_info_def=(1, _META_INFO), graph_def=(2, GRAPH), saver_def=(3, _SAVER),
                      signature_def=(5, {str: _SIGNATURE}), object_graph_def=(7, OBJECTS))  # fmt: skip
SAVED_MODEL = Message("SavedModel", saved_model_schema_version=(1, int), meta_graphs=(2, [_META_GRAPH]))

# What is read of a SavedModel: its signatures, and the objects without what hangs on them. The graph is skipped.
_OUTLINED = Message("SavedUserObject", identifier=(1, str), metadata=(3, str))
_OUTLINED = Message("SavedObjectGraph", nodes=(1, [Message("SavedObject", user_object=(4, _OUTLINED))]))
_OUTLINE = Message("MetaGraphDef", meta_info_def=(1, _META_INFO), signature_def=(5, {str: _SIGNATURE}),
                   object_graph_def=(7, _OUTLINED))  # fmt: skip
OUTLINE = Message("SavedModel", meta_graphs=(2, [_OUTLINE]))

# Keras 2's keras_metadata.pb
KERAS_METADATA = Message(
    "SavedMetadata",
    nodes=(1, [Message("SavedObject", node_id=(2, int), node_path=(3, str), identifier=(4, str), metadata=(5, str))]),
)

# ------------------------------------------------------------------------------------------ bundles

BUNDLE_HEADER = Message("BundleHeaderProto", num_shards=(1, int), endianness=(2, int), version=(3, _VERSIONS))
BUNDLE_ENTRY = Message("BundleEntryProto", dtype=(1, int), shape=(2, SHAPE), shard_id=(3, int), offset=(4, int),
                       size=(5, int), crc32c=(6, "fixed32"), slices=(7, [bytes]))  # fmt: skip
