# خوادم المجموعة، لمن يشغّلها.
cluster-title = الخوادم
cluster-of = خوادم «{ $name }»
cluster-alone = يحفظ هذا الخادم سجله وحده. إذا فُقد توقف التصويت حتى يعود.
cluster-alone-how = لتكون معه خوادم أخرى أوقفه وشغّله من جديد مع ‎--cluster NAME --first على مجلد البيانات نفسه. تشرح صفحة المشغّل في الدليل ذلك خطوة خطوة.
cluster-spare = { $n ->
    [one] يمكن فقدان خادم واحد آخر دون توقف التصويت.
    [two] يمكن فقدان خادمين آخرين دون توقف التصويت.
    [few] يمكن فقدان { $n } خوادم أخرى دون توقف التصويت.
    [many] يمكن فقدان { $n } خادمًا آخر دون توقف التصويت.
   *[other] يمكن فقدان { $n } خادم آخر دون توقف التصويت.
  }
cluster-spare-none = لا يمكن فقدان أي خادم آخر دون توقف التصويت.
cluster-stands = أغلبية الخوادم غائبة. لا يمكن تسجيل أي صوت الآن.
cluster-leads = يقود
cluster-nobody = لا أحد
cluster-term = الولاية
cluster-position = الموضع
cluster-losable = يمكن فقدانها
cluster-server = الخادم { $n }
cluster-this = هذا
cluster-role-leader = يقود
cluster-role-follower = يتبع
cluster-role-learner = يتعلم: لا يُحتسب بعد
cluster-col-server = الخادم
cluster-col-role = الدور
cluster-col-address = العناوين
cluster-col-position = الموضع
cluster-col-behind = التأخر
cluster-col-clock = الساعة
cluster-col-heard = سُمع
cluster-col-disk = فراغ القرص
cluster-col-version = الإصدار
cluster-clock = { $offset } ± { $error } ms
cluster-unknown = غير معروف
cluster-heard = قبل { $seconds } ث
cluster-never = أبدًا
cluster-wrong = ما الخلل
cluster-nothing-wrong = كل شيء على ما يرام.
cluster-no-leader = لا أحد يقود
cluster-no-leader-text = عدد الخوادم التي يسمع بعضها بعضًا أقل من الأغلبية. شغّل المتوقف منها وافحص الشبكة بينها. تُسجَّل الأصوات من جديد حالما تعود الأغلبية.
cluster-silent = الخادم { $node } صامت
cluster-silent-text = لم يُسمع منه شيء منذ { $n } ث. هل يعمل وهل تصل إليه الشبكة؟ إذا ذهب نهائيًا فأخرجه وأضف غيره.
cluster-behind = الخادم { $node } متأخر
cluster-behind-text = ينقصه { $n } من القيود. يلحق بنفسه؛ فإن لم يفعل فافحص قرصه وشبكته.
cluster-disk-full = قرص الخادم { $node } ممتلئ أو يكاد
cluster-disk-full-text = أفرغ مكانًا فيه. ما لديه يبقى مقروءًا والبقية تواصل.
cluster-clock-off = ساعة الخادم { $node } غير مضبوطة
cluster-clock-off-text = تبعد عن البقية { $offset } م‌ث. اضبطها، والأفضل بـ NTP؛ فأوقات الإغلاق تنتظر ساعات متفقة.
cluster-no-spare = لا يمكن الاستغناء عن أي خادم
cluster-no-spare-text = إذا فُقد خادم آخر توقف التصويت. شغّل الغائب منها أو أضف واحدًا.
cluster-other = مجموعة أخرى بهذا الاسم على الشبكة
cluster-other-text = هي على العنوان { $address } وأُسست منفصلة عن هذه. لا تندمج المجموعتان أبدًا: أوقف إحداهما أو سمّها باسم آخر.
cluster-servers = الخوادم
cluster-acts = ما يمكنك فعله
cluster-transfer = اجعل الخادم { $n } يقود
cluster-transfer-ask = يقود الخادم { $n } من بعدها. يستغرق ذلك لحظة ولا يضيع أي صوت.
cluster-drain = هيّئ الخادم { $n } للإيقاف
cluster-drain-ask = يسلّم ما يقوده ولا يقود حتى يُشغَّل من جديد.
cluster-promote = اجعل الخادم { $n } يُحتسب
cluster-promote-ask = يُحتسب من الأغلبية من بعدها. الخادم الذي لحق يُرقّى من تلقاء نفسه.
cluster-remove = أخرج الخادم { $n } نهائيًا
cluster-remove-ask = يترك المجموعة ولا يمكنه العودة برقمه. تبقى بياناته مكانها. لا يمكن التراجع عن ذلك.
cluster-did = تم.
cluster-did-transfer = الخادم { $n } يقود.
cluster-did-drain = الخادم { $n } لم يعد يقود شيئًا ويمكن إيقافه.
cluster-did-promote = الخادم { $n } يُحتسب من الأغلبية.
cluster-did-remove = ترك الخادم { $n } المجموعة. أوقفه، واحتفظ ببياناته حتى تتأكد.
cluster-add = أضف خادمًا
cluster-add-text = على الجهاز الجديد، مع مفتاح الانضمام للمجموعة مكان النقاط:
cluster-add-then = يأخذ السجل أولًا ويُحتسب حين يلحق.
cluster-history = من قاد
cluster-led = بدأ الخادم { $n } يقود، الولاية { $term }
cluster-lost = لم يقد أحد من هنا، الولاية { $term }
cluster-not-sure = اضغط الزر الذي تحت السؤال أيضًا: يُسأل مرة واحدة.
