"""The guard: process 1 of a pod, with the worker as its child. Standard library only.

RunPod bills a pod until somebody ends it, has no timer that would, and starts the container again
when process 1 exits. So the guard exits for nothing but a signal, and ends the pod through the API
with the key that RunPod puts into it, when one of three is due:

- **not ready**: no model was loaded within the startup limit;
- **idle**: since the model was first ready, nobody with the token has spoken for the idle limit;
- **deadline**: an absolute time, so that a restarted container does not begin to count anew.

It tries `action: terminate`, then `DELETE`, and again every minute or so for as long as the reason
holds and the guard lives, whatever was answered. If the API refuses it (401, 403, or there is no
key), the worker is started again without a model and says so in ``/health``: somebody else has to
end this pod. ``PUT /api/model`` brings it back to work.

The worker is started again whenever it ends, after 1, 2, 4 … 30 s, counted from its last caption.
A folder that both share (`folder.GuardFolder`) carries its signs of life, and over its death the
limits, the model and the running batch. The worker's standard input is a pipe that the guard
holds: a worker never outlives its guard.

Who decides is `rules.Rules`, which is told what happens and when, and does nothing. `process` does
what it says.
"""
