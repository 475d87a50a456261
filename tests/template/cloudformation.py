"""template.yaml as CloudFormation would see it: transformed by SAM, its functions evaluated for given parameters."""

import re
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from boto3.session import Session
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

ROOT = Path(__file__).parents[2]
PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::NoValue": None,
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::StackName": "the-stack",
    "AWS::StackId": "arn:aws:cloudformation:eu-central-1:123456789012:stack/the-stack/1",
    "AWS::URLSuffix": "amazonaws.com",
}
GIVEN = {
    "ProjectId": "5c2f1f0e-6f0a-4d27-9f3c-3a1f7c2b8d90",
    "Tag": "needs review",
    "BraintrustApiKeySecretId": "braintrust/key",
}
"""What a first deployment has to answer; all else has a default."""


def _tag(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


class _Loader(yaml.SafeLoader):
    pass


_Loader.add_multi_constructor("!", _tag)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def source() -> dict[str, Any]:
    """The template as it is written."""
    return deepcopy(_parsed())  # SAM changes what it is handed


@cache
def _parsed() -> dict[str, Any]:
    template: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text("utf-8"), _Loader)  # noqa: S506 - a safe one
    return template


def transform(parameters: dict[str, str]) -> dict[str, Any]:
    """What SAM makes of the template, which depends a little on the parameters."""
    template = source()
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/artifact"  # where `sam deploy` puts it
    translator = Translator({}, Parser(), boto_session=Session(region_name=PSEUDO["AWS::Region"]))
    translated: dict[str, Any] = translator.translate(template, dict(parameters))
    return translated


class Stack:
    """The transformed template with parameters: `resources`, `outputs` and `refused` (the Rules that said no)."""

    def __init__(
        self,
        parameters: dict[str, Any] | None = None,
        names: dict[str, str] | None = None,
        pseudo: dict[str, str] | None = None,
    ) -> None:
        declared = source()["Parameters"]
        self._names = names or {}
        self._pseudo = PSEUDO | (pseudo or {})
        self.parameters = {
            name: str(value)
            for name, value in (
                {name: each["Default"] for name, each in declared.items() if "Default" in each}
                | GIVEN
                | (parameters or {})
            ).items()
        }
        if unknown := self.parameters.keys() - declared.keys():
            raise KeyError(unknown)
        template = transform(self.parameters)
        self._conditions = template.get("Conditions", {})
        self._all = template["Resources"]
        self.resources = {
            name: self.value(resource)
            for name, resource in self._all.items()
            if "Condition" not in resource or self.holds(resource["Condition"])
        }
        self.outputs = {
            name: self.value(each["Value"])
            for name, each in template["Outputs"].items()
            if "Condition" not in each or self.holds(each["Condition"])
        }
        self.refused = [
            assertion["AssertDescription"]
            for rule in template.get("Rules", {}).values()
            for assertion in rule["Assertions"]
            if not self.value(assertion["Assert"])
        ]

    def of_type(self, kind: str) -> dict[str, Any]:
        """The properties of every resource of a type, by logical id."""
        return {
            name: each.get("Properties", {})
            for name, each in self.resources.items()
            if each["Type"] == kind
        }

    def holds(self, condition: str) -> bool:
        """Whether a named condition is true."""
        return bool(self.value(self._conditions[condition]))

    def value(self, node: Any) -> Any:
        """A node with every function evaluated. Raises KeyError for a name that does not exist."""
        if isinstance(node, list):
            return [value for value in (self.value(each) for each in node) if value is not None]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((name, argument),) = node.items()
            if name == "Ref":
                return self._ref(argument)
            if name == "Condition" and isinstance(argument, str):
                return self.holds(argument)
            if name.startswith("Fn::"):
                return getattr(self, "_" + name.removeprefix("Fn::").lower())(argument)
        values = {
            key: self.value(value)
            for key, value in node.items()
            if key not in {"DependsOn", "Condition"}
        }
        if "Condition" in node:  # of a policy statement; a resource's is a name
            values["Condition"] = (
                node["Condition"]
                if isinstance(node["Condition"], str)
                else self.value(node["Condition"])
            )
        for target in (
            [node["DependsOn"]]
            if isinstance(node.get("DependsOn"), str)
            else node.get("DependsOn", [])
        ):
            self._all[target]
        return {key: value for key, value in values.items() if value is not None}

    def _ref(self, name: str) -> Any:
        if name in self._pseudo:
            return self._pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        return self._physical(name)

    def _physical(self, name: str) -> str:
        resource = self._present(name)
        given = {
            "AWS::Logs::LogGroup": "LogGroupName",
            "AWS::Lambda::Function": "FunctionName",
        }.get(resource["Type"])
        if given and given in resource["Properties"]:
            return str(self.value(resource["Properties"][given]))
        if resource["Type"] == "AWS::CloudWatch::Dashboard":
            return str(self.value(resource["Properties"]["DashboardName"]))
        if resource["Type"] == "AWS::SNS::Topic":
            return f"arn:aws:sns:eu-central-1:123456789012:{name}"
        return self._names.get(name, f"the-stack-{name.lower()}")

    def _present(self, name: str) -> Any:
        resource = self._all[name]
        if "Condition" in resource and not self.holds(resource["Condition"]):
            raise KeyError(f"{name} is not made under these parameters")
        return resource

    def _getatt(self, argument: Any) -> str:
        name, attribute = argument if isinstance(argument, list) else argument.split(".", 1)
        kind, physical = self._present(name)["Type"], self._physical(name)
        arn = "arn:aws:{}:eu-central-1:123456789012:{}".format
        return {
            ("AWS::CloudWatch::Alarm", "Arn"): arn("cloudwatch", f"alarm:{physical}"),
            ("AWS::IAM::Role", "Arn"): f"arn:aws:iam::123456789012:role/{physical}",
            ("AWS::Lambda::Function", "Arn"): arn("lambda", f"function:{physical}"),
            ("AWS::Logs::LogGroup", "Arn"): arn("logs", f"log-group:{physical}:*"),
            ("AWS::S3::Bucket", "Arn"): f"arn:aws:s3:::{physical}",
            ("AWS::SQS::Queue", "Arn"): arn("sqs", physical),
            ("AWS::SQS::Queue", "QueueName"): physical,
        }[kind, attribute]

    def _sub(self, argument: Any) -> str:
        text, local = argument if isinstance(argument, list) else (argument, {})
        local = {name: self.value(value) for name, value in local.items()}

        def replaced(match: re.Match[str]) -> str:
            name = match[1]
            if name in local:
                return str(local[name])
            return str(self._getatt(name) if "." in name else self._ref(name))

        return re.sub(r"\$\{([^!}][^}]*)\}", replaced, text)

    def _if(self, argument: Any) -> Any:
        condition, yes, no = argument
        return self.value(yes if self.holds(condition) else no)

    def _equals(self, argument: Any) -> bool:
        left, right = (str(self.value(each)) for each in argument)
        return left == right

    def _not(self, argument: Any) -> bool:
        return not self.value(argument[0])

    def _and(self, argument: Any) -> bool:
        return all(self.value(each) for each in argument)

    def _or(self, argument: Any) -> bool:
        return any(self.value(each) for each in argument)

    def _select(self, argument: Any) -> Any:
        index, items = (self.value(each) for each in argument)
        return items[int(index)]

    def _split(self, argument: Any) -> list[str]:
        separator, text = (self.value(each) for each in argument)
        return str(text).split(separator)

    def _join(self, argument: Any) -> str:
        separator, items = (self.value(each) for each in argument)
        return str(separator).join(items)
