"""The guard: process 1 of a pod, with the worker as its child. Standard library only.

A pod bills until somebody ends it. A provider may have no timer that would, and may start the
container again when process 1 exits. So the guard exits for nothing but a signal, and ends the pod
with the calls that the provider gave it (`CAPTIV_GUARD_ENDING`), when one of three is due:

- **not ready**: no model was loaded within the startup limit;
- **idle**: since the model was first ready, nobody with the token has spoken for the idle limit;
- **deadline**: an absolute time, so that a restarted container does not begin to count anew.

It makes all of these calls, in order, and again every minute or so for as long as the reason holds
and the guard lives, whatever was answered. If all of them are refused (401, 403), or there are
none, the worker is started again without a model and says so in ``/health``: somebody else has to
end this pod. ``PUT /api/model`` brings it back to work. The worker never sees a variable that a
header of these calls names: that is a key, and `keys` puts it out of the worker's reach.

The worker is started again whenever it ends, after 1, 2, 4 … 30 s, counted from its last caption.
A folder that both share (`folder.GuardFolder`) carries its signs of life, and over its death the
limits, the model and the running batch. The worker's standard input is a pipe that the guard
holds: a worker never outlives its guard.

Who decides is `rules.Rules`, which is told what happens and when, and does nothing. `process` does
what it says.
"""
