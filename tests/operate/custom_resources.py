"""Schemas of the kinds of KEDA and of the operator of Prometheus, as far as the chart uses them.

Kubernetes' own schemas do not have them. Fields that are not named here are refused.
"""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
COUNT: Schema = {"type": "integer", "minimum": 0}


def record(required: dict[str, Schema], **optional: Schema) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": {**required, **optional},
    }


def many(item: Schema) -> Schema:
    return {"type": "array", "items": item, "minItems": 1}


def resource(api_version: str, spec: Schema) -> Schema:
    metadata = record({"name": TEXT, "labels": TEXTS})
    head: dict[str, Schema] = {"apiVersion": {"const": api_version}, "kind": TEXT}
    return record({**head, "metadata": metadata, "spec": spec})


POLICY = record({"type": {"enum": ["Pods", "Percent"]}, "value": COUNT, "periodSeconds": COUNT})
SCALE_DOWN = record({"policies": many(POLICY)}, stabilizationWindowSeconds=COUNT)
BEHAVIOR = record({"scaleDown": SCALE_DOWN})
PROMETHEUS_TRIGGER = record(
    {
        "type": {"const": "prometheus"},
        # Numbers among them are text as well.
        "metadata": record(
            {"serverAddress": TEXT, "query": TEXT, "threshold": TEXT, "ignoreNullValues": TEXT}
        ),
    },
    metricType={"enum": ["AverageValue", "Value"]},
)
SELECTOR = record(
    {},
    matchLabels=TEXTS,
    matchExpressions=many(record({"key": TEXT, "operator": TEXT}, values=many(TEXT))),
)
RULE = record({"expr": TEXT}, record=TEXT, alert=TEXT, labels=TEXTS, annotations=TEXTS) | {
    "oneOf": [{"required": ["record"]}, {"required": ["alert"]}]
}
RULE["properties"]["for"] = TEXT

SCHEMAS: dict[str, Schema] = {
    "ScaledObject": resource(
        "keda.sh/v1alpha1",
        record(
            {"scaleTargetRef": record({"name": TEXT}), "triggers": many(PROMETHEUS_TRIGGER)},
            pollingInterval=COUNT,
            minReplicaCount=COUNT,
            maxReplicaCount=COUNT,
            fallback=record({"failureThreshold": COUNT, "replicas": COUNT}),
            advanced=record({"horizontalPodAutoscalerConfig": record({"behavior": BEHAVIOR})}),
        ),
    ),
    "PodMonitor": resource(
        "monitoring.coreos.com/v1",
        record(
            {
                "selector": SELECTOR,
                "podMetricsEndpoints": many(record({"port": TEXT, "path": TEXT, "interval": TEXT})),
            }
        ),
    ),
    "PrometheusRule": resource(
        "monitoring.coreos.com/v1",
        record({"groups": many(record({"name": TEXT, "rules": many(RULE)}))}),
    ),
}
