"""The one table of who may do what: each route, and each status of a label, with the least role it takes."""

from collections.abc import Iterable

from starlette.routing import Route

from apps.segpet.access.users import Role

#: Least role, methods and path as the route writes it. `nobody` needs no token.
_TABLE = """
nobody     GET HEAD         /health
nobody     GET HEAD         /ready
nobody     POST             /sign-in
nobody     GET              /auth/
nobody     POST             /auth/token
annotator  GET              /auth/token/valid
annotator  POST             /sign-out
annotator  GET              /segpet/me
annotator  GET HEAD         /openapi.json

annotator  GET              /info/
annotator  POST             /activelearning/{strategy}
annotator  POST             /infer/{model}
annotator  GET              /batch/infer
reviewer   POST             /batch/infer/{model}
reviewer   DELETE           /batch/infer
annotator  GET              /train/
admin      POST DELETE      /train/
admin      POST             /train/{model}
annotator  GET PUT          /datastore/
annotator  GET HEAD         /datastore/image
annotator  GET              /datastore/image/info
reviewer   PUT              /datastore/image/info
annotator  GET HEAD PUT     /datastore/label
annotator  GET              /datastore/label/info
reviewer   PUT              /datastore/label/info
annotator  PUT              /session/
annotator  GET DELETE       /session/{session_id}

annotator  GET              /segpet/studies
annotator  GET              /segpet/studies/{uid}
annotator  GET              /segpet/studies/{uid}/label
reviewer   GET              /segpet/studies/{uid}/agreement
annotator  POST             /segpet/next
annotator  GET PUT          /segpet/studies/{uid}/sessions/{client}
annotator  POST DELETE      /segpet/studies/{uid}/sessions/{client}/seen
annotator  POST             /segpet/studies/{uid}/sessions/{client}/clicks
annotator  POST             /segpet/studies/{uid}/sessions/{client}/undo
annotator  POST             /segpet/studies/{uid}/sessions/{client}/redo
annotator  POST             /segpet/studies/{uid}/sessions/{client}/restore
annotator  PATCH DELETE     /segpet/studies/{uid}/sessions/{client}/objects/{number}
annotator  GET              /segpet/studies/{uid}/sessions/{client}/objects/{number}/comparison
annotator  POST             /segpet/studies/{uid}/sessions/{client}/accept
annotator  POST             /segpet/studies/{uid}/sessions/{client}/reject
annotator  POST             /segpet/studies/{uid}/sessions/{client}/clear
annotator  POST             /segpet/studies/{uid}/sessions/{client}/merge
annotator  POST             /segpet/studies/{uid}/sessions/{client}/proposals
annotator  PUT              /segpet/studies/{uid}/sessions/{client}/slices
annotator  POST             /segpet/studies/{uid}/sessions/{client}/label
annotator  GET              /segpet/studies/{uid}/impression
annotator  POST             /segpet/studies/{uid}/impression/stream
annotator  POST             /segpet/studies/{uid}/impression/check
reviewer   PUT              /segpet/studies/{uid}/impression
annotator  GET              /segpet/training
admin      POST             /segpet/training
admin      POST             /segpet/training/stop
admin      POST             /segpet/weights/promote
admin      POST             /segpet/weights/rollback

annotator  GET              /dicom-web/{path:path}
annotator  GET              /dicom-web/studies
annotator  GET              /dicom-web/series
annotator  GET              /dicom-web/instances
annotator  GET              /dicom-web/studies/{study}
annotator  GET              /dicom-web/studies/{study}/series
annotator  GET              /dicom-web/studies/{study}/instances
annotator  GET              /dicom-web/studies/{study}/metadata
annotator  GET              /dicom-web/studies/{study}/series/{series}
annotator  GET              /dicom-web/studies/{study}/series/{series}/instances
annotator  GET              /dicom-web/studies/{study}/series/{series}/metadata
annotator  GET              /dicom-web/studies/{study}/series/{series}/instances/{instance}
annotator  GET              /dicom-web/studies/{study}/series/{series}/instances/{instance}/metadata
annotator  GET              /dicom-web/studies/{study}/series/{series}/instances/{instance}/frames/{numbers}
"""
_ROWS = [line.split() for line in _TABLE.splitlines() if line]
#: The least role by method and path.
ROUTES = {(method, path): Role[role.upper()] for role, *methods, path in _ROWS for method in methods}
#: The least role that may save a label with a status, or tag.
STATUSES = {
    "original": Role.ANNOTATOR,
    "draft": Role.ANNOTATOR,
    "submitted": Role.ANNOTATOR,
    "reviewed": Role.REVIEWER,
    "final": Role.REVIEWER,
}


def role_for(routes: Iterable[Route], method: str, path: str) -> Role:
    """Return the least role that a request takes.

    Of several routes that a path fits the strictest counts; one without a row is for admins. What is no
    route is a file of the viewer's, or nothing.
    """
    fitting = [route for route in routes if method in (route.methods or ()) and route.path_regex.match(path)]
    return max((ROUTES.get((method, route.path), Role.ADMIN) for route in fitting), default=Role.ANNOTATOR)
