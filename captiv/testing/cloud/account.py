"""What the account has beside pods: templates, network volumes, credentials for registries."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from captiv.testing.cloud.answers import Refusal, template_json, volume_json
from captiv.testing.cloud.conditions import Conditions


class AccountApi:
    """One method an operation; the account is as the conditions have it."""

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions

    async def list_templates(self, _request: Request) -> Response:
        """`GET /v2/templates`."""
        templates = self._conditions.templates.items()
        return JSONResponse({"templates": [template_json(*each) for each in templates]})

    async def get_template(self, request: Request) -> Response:
        """`GET /v2/templates/{id}`."""
        asked, templates = request.path_params["id"], self._conditions.templates
        if asked not in templates:
            raise Refusal(404, "resource not found")
        return JSONResponse(template_json(asked, templates[asked]))

    async def get_network_volume(self, request: Request) -> Response:
        """`GET /v2/network-volumes/{id}`."""
        asked, volumes = request.path_params["id"], self._conditions.volumes
        if asked not in volumes:
            raise Refusal(404, "resource not found")
        return JSONResponse(volume_json(asked, volumes[asked]))

    async def list_registries(self, _request: Request) -> Response:
        """`GET /v2/registries`."""
        registries = self._conditions.registries.items()
        named = [{"id": registry, "name": name} for registry, name in registries]
        return JSONResponse({"registries": named})
